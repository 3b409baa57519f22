"""What itransformer says: its answers, and its routes as their reader sees them."""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bentos.itransformer.calls import NO_DATA
from bentos.itransformer.catalog import Listed
from bentos.itransformer.jobs import Job
from bentos.web.endpoint import Answer
from bentos.web.errors import Failure
from training.itransformer.names import TRAIN

Dated = list[dict[str, str | float]]
NOT_AUTHORIZED = "No autorizado. Clave de administración incorrecta o ausente."
STARTED = {
    "train": "El modelo '{}' se está entrenando en segundo plano.",
    "fine_tuning": "El modelo '{}' se está ajustando en segundo plano.",
}
EXAMPLE = {
    "model_name": "energia_v1",
    "data": [{"date": "2024-01-01 00:00:00", "OT": 12.5, "HU": 80}],
}


class Mending(msgspec.Struct, kw_only=True):
    """What was done to the rows, where the call asked for it.

    `sorted` says whether rows changed their places, `filled` how many values of each column were
    made up.
    """

    sorted: bool | UnsetType = UNSET
    filled: dict[str, int] | UnsetType = UNSET


class Accepted(Mending):
    """A job that is stored and waits for its turn."""

    status: str
    message: str
    job_id: str

    @classmethod
    def of(cls, kind: str, name: str, job_id: str, mended: dict[str, Any]) -> "Accepted":
        """The answer to an accepted training."""
        status = "training_started" if kind == TRAIN else "fine_tuning_started"
        return cls(status, STARTED[kind].format(name), job_id, **mended)


class Queue(msgspec.Struct):
    """Up to a thousand jobs, the newest first."""

    jobs: list[Job]
    count: int


class Forecast(Mending):
    """The rows that follow those of the call, in the units of the data.

    With `interval` in the call each value has its bounds, between which the true one lies as
    often as that says; `checked` is how many earlier windows of the rows told how far off
    forecasts were of late.
    """

    status: Literal["success"]
    model_used: str
    version: str
    forecast: Dated
    interval: float | UnsetType = UNSET
    lower: Dated | UnsetType = UNSET
    upper: Dated | UnsetType = UNSET
    checked: int | UnsetType = UNSET


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
