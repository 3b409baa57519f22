"""MLflow's scoring protocol: what `mlflow models serve` takes at /invocations.

Format: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/

What MLflow's server would change without a word is refused here: columns, params and fields that
the model does not know, numbers as texts, numbers that do not fit. Objects stay objects for a
model that takes objects; NaN, as Python writes it, is a missing value.
"""

import json
from collections.abc import Mapping
from typing import Any

from bentos.protocols import answers as written
from bentos.protocols import csvs
from bentos.protocols.body import parsed
from bentos.protocols.call import Call
from bentos.protocols.elements import names, show
from bentos.protocols.frames import Frames
from bentos.protocols.params import Params
from bentos.protocols.table import Table
from bentos.tensors import BadInput, Batch, Schema

JSON, CSV = "application/json", "text/csv"
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SPLIT = {"columns", "index", "data"}


class Unsupported(BadInput):
    """A body of a content type that is not read: 415 in HTTP."""


class Invocations:
    """The bodies of one model's calls and answers."""

    def __init__(self, schema: Schema, most: int) -> None:
        """Take at most so many rows in one call."""
        self._schema = schema
        self._most = most
        self._params = Params(schema)
        self._frames = Frames(Table(schema, most))

    def decode(self, body: bytes, content_type: str) -> Call:
        """The rows of a body. Raises BadInput, and Unsupported."""
        if media_type(content_type) == CSV:
            names, rows = csvs.read(body, self._schema, self._most)
            return Call(self._frames.of_lists(names, rows), True, self._params.read())
        value = _json(body)
        form = _form(value)
        params = value.get("params")
        if params is not None and not isinstance(params, dict):
            raise BadInput(f"params: {show(params)} is no object", "params")
        batch = getattr(self, f"_{form}")(value[form])
        return Call(batch, True, self._params.read(params))

    def encode(self, answers: Batch) -> bytes:
        """`{"predictions": [...]}`: of one column its values, of several an object a row.

        NaN and infinite numbers are null.
        """
        if len(answers) == 1:
            (column,) = answers.values()
            return written.encode({"predictions": written.values(column)})
        return written.encode({"predictions": written.rows(answers)})

    def _dataframe_split(self, value: Any) -> Batch:
        if not isinstance(value, dict):
            raise BadInput(f"dataframe_split: {show(value)} is no object with columns and data")
        if "data" not in value or value.keys() - SPLIT:
            raise BadInput(
                "dataframe_split has 'data', and may have 'columns' and 'index'; "
                f"this one has {names(value)}"
            )
        rows, index, columns = value["data"], value.get("index"), value.get("columns")
        for part, given in (("data", rows), ("index", index), ("columns", columns)):
            if not isinstance(given, list) and (given is not None or part == "data"):
                raise BadInput(f"dataframe_split: its {part} is no list, but {show(given)}")
        if index is not None and len(index) != len(rows):
            message = f"index has {len(index)} entries, and data {len(rows)} rows"
            raise BadInput(f"dataframe_split: {message}")
        if columns is not None:
            columns = [name if isinstance(name, str) else json.dumps(name) for name in columns]
        return self._frames.of_lists(columns, rows)

    def _dataframe_records(self, value: Any) -> Batch:
        if not isinstance(value, list):
            raise BadInput(f"dataframe_records: {show(value)} is no list of objects")
        return self._frames.of_objects(value)

    def _instances(self, value: Any) -> Batch:
        if isinstance(value, dict) and self._schema.single is None:
            return self._frames.of_columns(value)
        if isinstance(value, dict):
            return self._frames.of_objects([value])
        if not isinstance(value, list):
            return self._frames.of_values([value])
        if value and all(isinstance(row, dict) for row in value):
            return self._frames.of_objects(value)
        return self._frames.of_values(value)

    _inputs = _instances


def media_type(content_type: str) -> str:
    """JSON or CSV. Raises Unsupported for others, and for other encodings than UTF-8."""
    kind, *params = (part.strip() for part in content_type.split(";"))
    for param in params:
        name, _, value = param.partition("=")
        if name.lower() != "charset" or value.strip('"').lower() not in ("utf-8", "utf8"):
            raise Unsupported(f"the content type has {param!r}; only charset=utf-8 is read")
    if kind.lower() not in (JSON, CSV):
        raise Unsupported(f"the content type is {kind!r}; {JSON} and {CSV} are read")
    return kind.lower()


def _form(value: Any) -> str:
    known = ", ".join(map(repr, FORMS))
    if not isinstance(value, dict):
        raise BadInput(f"the body is {show(value)}; send an object with one of {known}")
    found = [name for name in FORMS if name in value]
    if len(found) != 1:
        raise BadInput(
            f"the body has {names(value)}; send exactly one of {known}, and params if any"
        )
    if foreign := next((name for name in value if name not in (*FORMS, "params")), None):
        message = f"unknown field {show(foreign)}; there are {found[0]!r} and 'params'"
        raise BadInput(message, foreign)
    return found[0]


def _json(body: bytes) -> Any:
    """JSON, or what Python writes instead of it: NaN is null. Raises BadInput."""
    try:
        return parsed(body)
    except BadInput:
        if b"NaN" not in body and b"Infinity" not in body:
            raise
        try:
            return json.loads(body, parse_constant=_CONSTANTS.get)
        except (ValueError, RecursionError):
            pass
        raise


_CONSTANTS: Mapping[str, float] = {"Infinity": float("inf"), "-Infinity": float("-inf")}
