"""Which of Arrow's types are read."""

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
from pyarrow import types

from bentos.tensors import BadInput

Kind: TypeAlias = Callable[[pa.DataType], bool]
TEXTS: tuple[Kind, ...] = (
    types.is_string, types.is_large_string,
    types.is_binary, types.is_large_binary, types.is_fixed_size_binary,
)  # fmt: skip
NUMBERS: tuple[Kind, ...] = (types.is_boolean, types.is_integer, types.is_floating)
TIMES: tuple[Kind, ...] = (types.is_timestamp, types.is_date)
LISTS: tuple[Kind, ...] = (types.is_list, types.is_large_list, types.is_fixed_size_list)


def check_type(name: str, kind: pa.DataType, inside: bool = False) -> None:
    """Raise BadInput for types that are not read, or in which few bytes may stand for much."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if among(kind, *LISTS, types.is_map, types.is_struct) and kind.num_fields:
        for at in range(kind.num_fields):
            check_type(name, kind.field(at).type, inside=True)
        return
    if is_scalar(kind) or (not inside and types.is_null(kind)):
        return
    if not inside and types.is_dictionary(kind) and is_scalar(kind.value_type):
        return
    where = "inside a list or an object" if inside else "as a column"
    raise BadInput(f"column {name!r}: Arrow's {kind} is not read {where}", name)


def among(kind: pa.DataType, *kinds: Kind) -> bool:
    """Whether a type is one of these."""
    return any(one(kind) for one in kinds)


def is_scalar(kind: pa.DataType) -> bool:
    """Whether each value of a type is one, and takes bytes."""
    empty = types.is_fixed_size_binary(kind) and not kind.byte_width
    return among(kind, *TEXTS, *NUMBERS, *TIMES, types.is_decimal) and not empty
