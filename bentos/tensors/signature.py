"""Schemas from and to MLflow's signatures.

Format: `mlflow.types.schema.Schema.to_json` and `ParamSchema.to_json`,
https://mlflow.org/docs/latest/ml/model/signatures/
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from bentos.tensors.errors import BadSchema
from bentos.tensors.schema import Column, Dtype, Param, Schema, Source

SCALARS: Mapping[str, Dtype] = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "string",
    "binary": "binary",
    "datetime": "datetime",
}

NESTED = {"array", "object", "map", "any", "sparkml_vector"}


def read(signature: object, source: Source = "signature") -> Schema | None:
    """The schema of an MLmodel's `signature`, or None where it has no inputs. Raises BadSchema."""
    if not isinstance(signature, dict) or not signature.get("inputs"):
        return None
    try:
        inputs = json.loads(signature["inputs"])
        outputs = json.loads(signature.get("outputs") or "[]")
        params = json.loads(signature.get("params") or "[]")
        return Schema(
            inputs=_columns(inputs),
            outputs=_columns(outputs),
            params=tuple(_param(entry) for entry in params),
            source=source,
            positional=len(inputs) > 1 and not any("name" in entry for entry in inputs),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadSchema):
            raise
        raise BadSchema(f"the signature cannot be read: {error!r}") from error


def _columns(entries: list[dict[str, Any]]) -> tuple[Column, ...]:
    several = len(entries) > 1
    return tuple(
        _column(entry, str(entry.get("name", str(at) if several else "")))
        for at, entry in enumerate(entries)
    )


def _column(entry: dict[str, Any], name: str) -> Column:
    kind = entry["type"]
    required = bool(entry.get("required", not entry.get("optional", False)))
    if kind == "tensor":
        spec = entry["tensor-spec"]
        shape = tuple(int(size) for size in spec["shape"])
        return Column(name, _numpy(spec["dtype"]), shape[1:], required)
    if kind in NESTED:
        return Column(name, "json", (), required, not required, None, entry)
    return Column(name, _scalar(kind), (), required, nullable=not required)


def _param(entry: dict[str, Any]) -> Param:
    kind, shape = entry.get("type") or entry.get("dtype"), entry.get("shape")
    default = entry.get("default")
    if kind == "object":
        return Param(entry["name"], "json", default, (), entry)
    return Param(entry["name"], _scalar(str(kind)), default, tuple(shape or ()))


def _scalar(kind: str) -> Dtype:
    if kind not in SCALARS:
        raise BadSchema(f"the signature has the type {kind!r}; there are {', '.join(SCALARS)}")
    return SCALARS[kind]


def _numpy(dtype: str) -> Dtype:
    if dtype in ("object", "str", "string") or dtype.startswith(("<U", "str")):
        return "string"
    try:
        found: Dtype = msgspec.convert(dtype, Dtype)
    except msgspec.ValidationError:
        raise BadSchema(f"the signature has tensors of {dtype!r}, which are not served") from None
    return found
