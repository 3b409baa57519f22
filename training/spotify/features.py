"""The 18 features of a song: what they are called, in which order, and what they may be.

Training, the model's signature, validation, the docs and both routes read them from here.
Meanings: https://developer.spotify.com/documentation/web-api/reference/get-audio-features
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta, inspect
from numpy.typing import ArrayLike, NDArray

UNKNOWN = "unknown"
OUTPUT = "popularidad_estimada"
POPULARITY = (0.0, 100.0)

Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(max_length=2000)] | None


class Song(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A song; a name that is null, empty or left out is unknown."""

    duration_ms: Annotated[float, Meta(ge=0, le=86_400_000, description="Milliseconds")]
    danceability: Share
    energy: Share
    loudness: Annotated[float, Meta(ge=-100, le=20, description="Decibels, mostly -60 to 0")]
    speechiness: Share
    acousticness: Share
    instrumentalness: Share
    liveness: Share
    valence: Share
    tempo: Annotated[float, Meta(ge=0, le=1000, description="Beats per minute")]
    explicit: bool | Annotated[float, Meta(ge=0, le=1, multiple_of=1)]
    key: Annotated[float, Meta(ge=-1, le=11, multiple_of=1, description="C is 0; -1 is none")]
    mode: Annotated[float, Meta(ge=0, le=1, multiple_of=1, description="Minor is 0, major 1")]
    time_signature: Annotated[float, Meta(ge=0, le=16, multiple_of=1, description="Beats a bar")]
    artists: Name = None
    album_name: Name = None
    track_name: Name = None
    track_genre: Name = None


@dataclass(frozen=True)
class Feature:
    """A feature as tables and signatures know it; the bounds are those of a number."""

    name: str
    kind: Literal["double", "string"]
    low: float = -inf
    high: float = inf


def _feature(field: inspect.Field) -> Feature:
    match list(_kinds(field.type)):
        case [inspect.FloatType(ge=int() | float() as low, le=int() | float() as high)]:
            return Feature(field.name, "double", low, high)
        case [inspect.StrType()]:
            return Feature(field.name, "string")
    raise TypeError(f"{field.name} is neither a number with bounds nor a name")


def _kinds(annotated: inspect.Type) -> Iterator[inspect.Type]:
    """What the model reads of a type: the wire may also bring a boolean or a null."""
    if isinstance(annotated, inspect.Metadata):
        yield from _kinds(annotated.type)
    elif isinstance(annotated, inspect.UnionType):
        for kind in annotated.types:
            yield from _kinds(kind)
    elif not isinstance(annotated, inspect.BoolType | inspect.NoneType):
        yield annotated


FEATURES = tuple(map(_feature, inspect.type_info(Song).fields))  # type: ignore[attr-defined]
NUMBERS = tuple(feature for feature in FEATURES if feature.kind == "double")
NAMES = tuple(feature.name for feature in FEATURES if feature.kind == "string")


def row(song: Song) -> tuple[float | str, ...]:
    """The song as the model reads it: the numbers, then the names."""
    values = msgspec.structs.astuple(song)
    numbers, names = values[: len(NUMBERS)], values[len(NUMBERS) :]
    return (*map(float, numbers), *(name or UNKNOWN for name in names))


def popularity(raw: ArrayLike) -> NDArray[np.float64]:
    """What a model gives, kept on Spotify's scale: trees may overshoot its ends a little."""
    return np.clip(np.asarray(raw, dtype=np.float64), *POPULARITY)
