"""What bodies and queries of the tests hold."""

from typing import Annotated

import msgspec
from msgspec import Meta

from bentos.web.body import Decoder


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    presion: float
    temperatura: float
    volumen: float


class Matrix(msgspec.Struct, forbid_unknown_fields=True):
    data: list[list[float]]
    model_id: str | None = None
    extra: dict[str, float] = {}


class Song(msgspec.Struct, forbid_unknown_fields=True):
    tempo: float
    key: Annotated[int, Meta(ge=0, le=11)]
    explicit: bool | Annotated[int, Meta(ge=0, le=1)]
    artists: str | None = None


def short(value: object) -> str:
    return type(value).__name__ if isinstance(value, Decoder) else repr(value)[:40]
