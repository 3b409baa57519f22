"""What a caller sets for a whole call."""

from collections.abc import Mapping
from typing import Any

from bentos.protocols.reader import Reader
from bentos.tensors import Column, Mismatch, Param, Schema


class Params:
    """The parameters of a schema."""

    def __init__(self, schema: Schema) -> None:
        self._readers = {param.name: _reader(param) for param in schema.params}
        self._defaults = {param.name: param.default for param in schema.params}

    def read(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All of them: those given, the others by their defaults. Raises BadInput."""
        values = dict(self._defaults)
        for name, value in (given or {}).items():
            if name not in self._readers:
                known = ", ".join(map(repr, self._readers)) or "none"
                raise Mismatch(f"unknown param {name!r}; there are {known}", name)
            if value is None and values[name] is None:
                continue
            try:
                values[name] = self._readers[name].read(value)
            except ValueError as wrong:
                raise Mismatch(f"param {name!r}: {wrong}", name) from None
        return values


def _reader(param: Param) -> Reader:
    return Reader(Column(param.name, param.dtype, param.shape, spec=param.spec))
