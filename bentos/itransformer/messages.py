"""What itransformer says: its answers, and its routes as their reader sees them."""

from typing import Literal

import msgspec

from bentos.itransformer.calls import NO_DATA
from bentos.itransformer.catalog import Listed
from bentos.itransformer.jobs import Job
from bentos.web.endpoint import Answer
from bentos.web.errors import Failure
from training.itransformer.names import TRAIN

NOT_AUTHORIZED = "No autorizado. Clave de administración incorrecta o ausente."
STARTED = {
    "train": "El modelo '{}' se está entrenando en segundo plano.",
    "fine_tuning": "El modelo '{}' se está ajustando en segundo plano.",
}
EXAMPLE = {
    "model_name": "energia_v1",
    "data": [{"date": "2024-01-01 00:00:00", "OT": 12.5, "HU": 80}],
}


class Accepted(msgspec.Struct):
    """A job that is stored and waits for its turn."""

    status: str
    message: str
    job_id: str

    @classmethod
    def of(cls, kind: str, name: str, job_id: str) -> "Accepted":
        """The answer to an accepted training."""
        status = "training_started" if kind == TRAIN else "fine_tuning_started"
        return cls(status, STARTED[kind].format(name), job_id)


class Queue(msgspec.Struct):
    """Up to a thousand jobs, the newest first."""

    jobs: list[Job]
    count: int


class Forecast(msgspec.Struct):
    """The rows that follow those of the call, in the units of the data."""

    status: Literal["success"]
    model_used: str
    version: str
    forecast: list[dict[str, str | float]]


class Installed(msgspec.Struct):
    """An uploaded model that is a version now."""

    status: Literal["success"]
    message: str
    files: list[str]

    @classmethod
    def of(cls, name: str, files: list[str]) -> "Installed":
        """The answer to an upload."""
        return cls("success", f"Modelo '{name}' instalado correctamente", files)


class Listing(msgspec.Struct):
    """All models, promoted or not."""

    models: list[Listed]
    count: int


class Deleted(msgspec.Struct):
    """A model that is gone, with the files of all its versions."""

    status: Literal["success"]
    message: str
    deleted_files: list[str]

    @classmethod
    def of(cls, name: str, files: list[str]) -> "Deleted":
        """The answer to a deletion."""
        return cls("success", f"Modelo '{name}' eliminado correctamente.", files)


class Cleared(msgspec.Struct):
    """All models are gone."""

    status: Literal["success"] = "success"
    message: str = "Limpieza completa realizada con éxito."


BAD = {400: Answer("The rows cannot be used; which, and why", Failure, Failure(NO_DATA))}
NO_MODEL = {404: Answer("There is no such model", Failure)}
DOWN = {503: Answer("MLflow does not answer", Failure)}
