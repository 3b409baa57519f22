"""Tunables of the training runs, from configs/training.yaml, keyed by model family."""

from pathlib import Path
from typing import TypeVar

import msgspec

from training.errors import InputError

PATH = Path(__file__).parents[1] / "configs" / "training.yaml"
T = TypeVar("T")


def read_settings(family: str, kind: type[T], path: Path = PATH) -> T:
    """Read one family's settings into the Struct `kind`.

    Raises `InputError` naming file and key when a value does not fit or a key is unknown.
    """
    try:
        families = msgspec.yaml.decode(path.read_bytes(), type=dict[str, object])
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise InputError(f"{path}: {error}.") from error
    if family not in families:
        raise InputError(f"{path} has no settings for {family!r}.")
    try:
        return msgspec.convert(families[family], type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}, {family}: {error}.") from error
