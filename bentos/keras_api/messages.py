"""What keras_api is asked, and what it answers."""

from typing import Annotated, Any

import msgspec

Row = list[float]


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """Rows for one model, in the units that it was trained with."""

    data: list[Row]
    model_id: str = "default"


def bounded(most: int) -> type[Call]:
    """Calls of at least one row, and at most so many."""
    rows: Any = Annotated[list[Row], msgspec.Meta(min_length=1, max_length=most)]
    return msgspec.defstruct(  # type: ignore[return-value]
        "Call",
        [("data", rows), ("model_id", str, "default")],
        bases=(Call,),
        namespace={"__doc__": Call.__doc__},
        forbid_unknown_fields=True,
    )


class Prediction(msgspec.Struct):
    """What a model says of each row, in order.

    `confidence` is the share of the training's rows that lie farther out than this one: rows like
    those of the training have about .5 in the mean, a row unlike all of them has 0.
    """

    predictions: list[list[float]]
    confidence: list[float]
    model_id: str
    timestamp: str


class Record(msgspec.Struct):
    """One call that was answered."""

    timestamp: str
    model_id: str
    n_predicciones: int
    confianza_promedio: float | None


class Stats(msgspec.Struct):
    """Rows answered by all workers since the first start, and the latest calls, oldest first.

    `uptime` is in seconds.
    """

    timestamp: str
    modelos_activos: int
    predicciones_totales: int
    uptime: float
    historial_predicciones: list[Record]


class Models(msgspec.Struct):
    """The models that serve, by the `model_id` of a call."""

    modelos: list[str]
    total: int
    timestamp: str


class Health(msgspec.Struct):
    """That the service answers, and how many models serve."""

    status: str
    timestamp: str
    modelos_activos: int


class Cleared(msgspec.Struct):
    """That no kept answer will be given again."""

    status: str
    timestamp: str
