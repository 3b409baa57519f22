"""What a caller sets for a whole call."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bentos.protocols.elements import show
from bentos.protocols.reader import Reader
from bentos.tensors import Column, Mismatch, Param, Schema

TEXTS = frozenset({"string", "binary", "datetime"})


class Params:
    """The parameters of a schema."""

    def __init__(self, schema: Schema) -> None:
        self._known = {param.name: param for param in schema.params}
        self._readers = {param.name: _reader(param) for param in schema.params}
        self._defaults = {param.name: param.default for param in schema.params}

    def read(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All of them: those given, the others by their defaults. Raises BadInput."""
        values = dict(self._defaults)
        for name, value in (given or {}).items():
            if name not in self._readers:
                known = ", ".join(map(repr, self._readers)) or "none"
                raise Mismatch(f"unknown param {show(name)}; there are {known}", name)
            if value is None and values[name] is None:
                continue
            try:
                values[name] = self._readers[name].read(value)
            except ValueError as wrong:
                raise Mismatch(f"param {name!r}: {wrong}", name) from None
            if self._known[name].fixed and values[name] != self._defaults[name]:
                raise Mismatch(_fixed(name, value, self._defaults[name]), name)
        return values

    def spelled(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """All of them, of which some are given as texts: JSON, but a text as it is.

        What is no JSON, such as NaN and 1e999, is a text, which its reader then names as wrong.
        """
        return self.read({name: self._value(name, text) for name, text in texts.items()})

    def _value(self, name: str, text: str) -> Any:
        param = self._known.get(name)
        if param is None or (param.dtype in TEXTS and not param.shape):
            return text
        try:
            return msgspec.json.decode(text)
        except (ValueError, RecursionError):
            return text


def _fixed(name: str, value: object, default: object) -> str:
    return (
        f"param {name!r} is {show(value)}, and this version answers with {show(default)} alone, "
        "its default: log another version for other answers"
    )


def _reader(param: Param) -> Reader:
    return Reader(Column(param.name, param.dtype, param.shape, spec=param.spec))
