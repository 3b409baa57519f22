"""What itransformer says: its answers, and its routes as their reader sees them."""

from typing import Literal

import msgspec

from bentos.itransformer.calls import NO_DATA, FineTune, Named, Predict, Train
from bentos.itransformer.catalog import Listed
from bentos.itransformer.jobs import Job
from bentos.web.app import NOT_READY
from bentos.web.docs import Answer, Operation
from bentos.web.errors import Failure
from bentos.web.headers import VERSION_HEADER
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
KEY = {401: Answer("It wants another X-Admin-Key", Failure, Failure(NOT_AUTHORIZED))}
NO_JOB = {404: Answer("There is no such job", Failure)}
NO_MODEL = {404: Answer("There is no such model", Failure)}
FULL = {503: Answer("As many jobs wait as may, or MLflow does not answer", Failure)}
DOWN = {503: Answer("MLflow does not answer", Failure)}
OPERATIONS = [
    Operation(
        "POST",
        "/train",
        "Train a model, in the background",
        {202: Answer("It is stored, and waits for its turn", Accepted), **BAD, **FULL},
        description="Its columns are those of the rows, beside `date`. The first version of a "
        "model is promoted by itself, later ones if `promote` is true.",
        body=Train,
        examples={"one row of many": EXAMPLE},
    ),
    Operation(
        "POST",
        "/fine_tuning",
        "Let a model learn a little from new rows: a new version",
        {202: Answer("As /train", Accepted), **BAD, **NO_MODEL, **FULL},
        body=FineTune,
        examples={"one row of many": EXAMPLE},
    ),
    Operation("GET", "/jobs", "The newest jobs", {200: Answer("They", Queue), **DOWN}),
    Operation("GET", "/jobs/{job_id}", "A job", {200: Answer("It", Job), **NO_JOB, **DOWN}),
    Operation(
        "DELETE",
        "/jobs/{job_id}",
        "Cancel a job",
        {
            200: Answer("It is cancelled", Job),
            202: Answer("It will end soon", Job),
            409: Answer("It ended before", Failure),
            **NO_JOB,
            **DOWN,
        },
    ),
    Operation(
        "POST",
        "/predict",
        "The rows that follow",
        {200: Answer("As many as `points`", Forecast), **BAD, **NO_MODEL, **NOT_READY},
        description=f"The header {VERSION_HEADER} tells which release answered.",
        body=Predict,
        examples={"one row of many": EXAMPLE | {"points": 24}},
    ),
    Operation(
        "POST",
        "/upload_model",
        "Bring a model along: a .zip with a .pth and a .pkl, as multipart",
        {200: Answer("It is a version now", Installed), 400: Answer("Why not", Failure), **DOWN},
        description="`curl -F file=@energia_v1.zip`. Further fields, none of which is needed: "
        "`model_name`, `promote`; and, for a bundle that /download_model did not make, "
        "`n_heads`, `step` and `columns`, with commas between.",
    ),
    Operation(
        "POST",
        "/download_model",
        "A model as a .zip, which /upload_model takes",
        {200: Answer("The file"), 400: Answer("No such name", Failure), **NO_MODEL, **DOWN},
        body=Named,
        examples={"one": {"model_name": "energia_v1"}},
    ),
    Operation("GET", "/list_models", "All models", {200: Answer("They", Listing), **DOWN}),
    Operation(
        "DELETE",
        "/delete_model/{model_name}",
        "Delete a model and all its versions",
        {200: Answer("It is gone", Deleted), **NO_MODEL, **DOWN},
    ),
    Operation(
        "DELETE",
        "/clear_all_models",
        "Delete all models",
        {200: Answer("They are gone", Cleared), **KEY, **DOWN},
        description="It wants the header X-Admin-Key.",
    ),
]
