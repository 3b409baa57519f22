"""The OpenAPI document of one model, from its schema.

Format: https://spec.openapis.org/oas/v3.1.1.html
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from bentos.models.calls import PROBA, has_flag
from bentos.protocols.arrow_stream import MEDIA_TYPE
from bentos.serving.release import Release
from bentos.tensors import Column, Param, Schema
from bentos.tensors.schema import PROBABILITIES
from bentos.tensors.signature import SCALARS
from bentos.web.docs import REFERENCE
from bentos.web.errors import JSON, Failure, Problems

KINDS = {"bool": "boolean", "string": "string", "binary": "string", "datetime": "string"}
FORMATS = {"binary": "byte", "datetime": "date-time", "float32": "float", "float64": "double",
           "int32": "int32", "int64": "int64"}  # fmt: skip


def document(name: str, release: Release) -> dict[str, Any]:
    """What a release takes at `/predict` and gives."""
    schema = release.schema
    if schema is None:
        raise TypeError(f"{release} has no schema")
    _, errors = msgspec.json.schema_components([Problems, Failure], ref_template=REFERENCE)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": name,
            "version": release.version.version,
            "description": f"Columns as the {schema.source} of version "
            f"{release.version.version} has them; it runs as {release.runs}.",
        },
        "servers": [{"url": "."}],
        "paths": {"/predict": {"post": _predict(name, release)}},
        "components": {"schemas": {"Row": row_of(schema), "Answer": answer_of(schema), **errors}},
    }


def _predict(name: str, release: Release) -> dict[str, Any]:
    example = {"example": msgspec.json.decode(release.example)} if release.example else {}
    table = {MEDIA_TYPE: {"schema": {"type": "string", "contentMediaType": MEDIA_TYPE}}}
    answer = _said(
        "One answer or a list, in order; or a table, with a row for each", _one_or_many("Answer")
    )
    return {
        "operationId": "predict",
        "summary": f"Answers of {name}",
        "parameters": parameters(release),
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": _one_or_many("Row"), **example}, **table},
        },
        "responses": {
            "200": answer | {"content": answer["content"] | table},
            "422": _said("A value is not what its column takes", _named("Problems")),
            "503": _said("No version serves yet", _named("Failure")),
        },
    }


def _named(name: str) -> dict[str, Any]:
    return {"$ref": REFERENCE.format(name=name)}


def _one_or_many(name: str) -> dict[str, Any]:
    return {"anyOf": [_named(name), {"type": "array", "items": _named(name)}]}


def _said(meaning: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": meaning, "content": {JSON: {"schema": schema}}}


def parameters(release: Release) -> list[dict[str, Any]]:
    """What a caller may ask for beside the answers, and the params."""
    params = release.schema.params if release.schema else ()
    return [*_proba(release), *map(_param, params)]


def _param(param: Param) -> dict[str, Any]:
    """One of the signature. A list is JSON in a text: generated clients pass over `content`."""
    schema = value_of(Column(param.name, param.dtype, param.shape, spec=param.spec))
    schema |= {"const": param.default} if param.fixed else {"default": param.default}
    if param.shape or param.dtype == "json":
        schema = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    return {"name": param.name, "in": "query", "schema": schema}


def _proba(release: Release) -> list[dict[str, Any]]:
    if release.probabilities.predict is None or not has_flag(release):
        return []
    classes = ", ".join(release.probabilities.classes)
    said = f"Give `{PROBABILITIES}`, too: an object of how probable each class is ({classes})"
    schema = {"type": "boolean", "default": False}
    return [{"name": PROBA, "in": "query", "description": said, "schema": schema}]


def row_of(schema: Schema) -> dict[str, Any]:
    """One row as JSON schema: an object of columns, a list, or a value by itself."""
    if schema.single is not None:
        return value_of(schema.single)
    if schema.positional:
        size = len(schema.inputs)
        items = [value_of(column) for column in schema.inputs]
        return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
    return {
        "type": "object",
        "properties": {column.name: value_of(column) for column in schema.inputs},
        "required": [column.name for column in schema.inputs if column.required],
        "additionalProperties": False,
    }


def answer_of(schema: Schema) -> dict[str, Any]:
    """One answer as JSON schema."""
    if not schema.outputs:
        return {"type": "object", "properties": {"prediction": {}}, "required": ["prediction"]}
    names = {column.name or "prediction": value_of(column) for column in schema.outputs}
    return {"type": "object", "properties": names, "required": list(names)}


def value_of(column: Column) -> dict[str, Any]:
    """One value of a column as JSON schema."""
    if column.dtype == "json":
        plain: dict[str, Any] = {} if column.nullable else {"type": "object"}
        return nested(column.spec) if column.spec else plain
    whole = column.dtype.startswith(("int", "uint"))
    kind = KINDS.get(column.dtype, "integer" if whole else "number")
    value: dict[str, Any] = {"type": [kind, "null"] if column.nullable else kind}
    if column.dtype in FORMATS:
        value["format"] = FORMATS[column.dtype]
    if column.categories:
        known = ", ".join(map(str, column.categories[:20]))
        value["description"] = f"The model knows: {known}"
    for size in reversed(column.shape):
        value = {"type": "array", "items": value}
        if size >= 0:
            value |= {"minItems": size, "maxItems": size}
    return value


def nested(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A value by MLflow's description of it, as JSON schema."""
    value = _nested(spec)
    may_lack = not spec.get("required", True) and "type" in value
    return value | {"type": [value["type"], "null"]} if may_lack else value


def _nested(spec: Mapping[str, Any]) -> dict[str, Any]:
    match spec["type"]:
        case "array":
            return {"type": "array", "items": nested(spec["items"])}
        case "sparkml_vector":
            return {"type": "array", "items": {"type": "number"}}
        case "map":
            return {"type": "object", "additionalProperties": nested(spec["values"])}
        case "object":
            held = spec["properties"]
            return {
                "type": "object",
                "properties": {name: nested(each) for name, each in held.items()},
                "required": [name for name, each in held.items() if each.get("required", True)],
                "additionalProperties": False,
            }
    kind = SCALARS.get(spec["type"])
    return value_of(Column("", kind)) if kind else {}
