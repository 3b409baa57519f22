"""Rows made to tell a graph from its model.

They lie at the samples, around them, half way between them, and on and next to the numbers at
which the model's trees turn; some have values that are missing, unknown, zero, tiny or huge.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.tensors import Batch, Column, Schema

Critical: TypeAlias = Mapping[str, NDArray[Any]]

COUNT = 20_000
MIXED = 1_000  # objects made of others
UNKNOWN = "a value that no model was trained with"
SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.1 + 0.2, 19.99, 1234.55, 5e-324, 1e-310, 1e-45, 1e-38, -1e-300,
    2.0**24 + 1, 2.0**31, 2.0**53, 1_767_225_600.0, 1_767_225_600.123, 1e9, -1e12, 1e15,
)  # fmt: skip


def rows(
    schema: Schema,
    samples: Batch | None,
    critical: Critical | None = None,
    count: int = COUNT,
    seed: int = 0,
) -> Batch:
    """So many rows of a schema, the same ones for the same arguments.

    `critical` has the numbers of each input column at which a model turns, or the texts that it
    knows; a matrix's columns are named by their numbers.
    """
    random = np.random.default_rng(seed)
    columns = _columns(schema, samples)
    given = _given(schema, samples)
    made = {
        column.name: _Values(column, given.get(column.name), (critical or {}).get(column.name))
        for column in columns
    }
    base = max((len(values) for values in given.values()), default=0)
    picks = [random.integers(max(base, 1), size=count) for _ in range(2)]
    odd = random.integers(len(columns), size=count)
    out = {
        name: values.draw(random, picks, odd == at)
        for at, (name, values) in enumerate(made.items())
    }
    if schema.single is not None and schema.single.shape:
        return Batch({"": np.column_stack(list(out.values())).astype(schema.single.numpy)})
    return Batch(out)


def _columns(schema: Schema, samples: Batch | None) -> Sequence[Column]:
    single = schema.single
    if single is None or not single.shape:
        return schema.inputs
    if len(single.shape) != 1:
        raise ValueError(f"rows of the shape {single.shape} are not made")
    width = single.shape[0]
    if width < 0:
        if samples is None:
            raise ValueError("without samples the number of columns is not known")
        width = samples[""].shape[1]
    return [Column(str(at), single.dtype, nullable=single.nullable) for at in range(width)]


def _given(schema: Schema, samples: Batch | None) -> dict[str, NDArray[Any]]:
    if samples is None or not samples.size:
        return {}
    if schema.single is not None and schema.single.shape:
        return {str(at): column for at, column in enumerate(samples[""].T)}
    return dict(samples)


class _Values:
    """The values that one column may be given."""

    def __init__(
        self, column: Column, given: NDArray[Any] | None, critical: NDArray[Any] | None
    ) -> None:
        self.column = column
        self.given = given
        self.critical = critical
        self.text = column.dtype == "string"
        self.whole = column.dtype.startswith(("int", "uint"))
        self.number = column.numpy.kind in "iuf"

    def draw(
        self,
        random: np.random.Generator,
        picks: Sequence[NDArray[np.int64]],
        odd: NDArray[np.bool_],
    ) -> NDArray[Any]:
        """Samples in the first eighth, then around, between, at turns; `odd` rows are strange."""
        count = len(odd)
        if not self.number:
            return self._chosen(random, picks, odd)
        one, two = (self._base(random, pick) for pick in picks)
        out = one.copy()
        eighth = count // 8
        with np.errstate(all="ignore"):
            around, between = slice(eighth, 3 * eighth), slice(3 * eighth, 5 * eighth)
            out[around] = one[around] + self._spread(random, one)[around]
            out[between] = (one[between] + two[between]) / 2
            turns = np.flatnonzero(random.random(count) < 0.5)
            turns = turns[turns >= 5 * eighth]
            out[turns] = self._turns(random, len(turns), out[turns])
            strange = np.flatnonzero(odd & (np.arange(count) >= 7 * eighth))
            out[strange] = random.choice(np.array(SPECIAL), len(strange))
        return self._fitted(random, out, eighth)

    def _base(self, random: np.random.Generator, pick: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.given is not None:
            values = np.array([np.nan if v is None else v for v in self.given], np.float64)
            return values[pick % len(values)]
        if self.critical is not None and len(self.critical):
            values = np.asarray(self.critical, np.float64)
            spread = np.std(values) or 1.0
            return np.asarray(
                random.choice(values, len(pick)) + spread * random.normal(size=len(pick))
            )
        return np.asarray(
            random.normal(size=len(pick)) * 10.0 ** random.integers(-1, 4, len(pick))
        )

    def _spread(
        self, random: np.random.Generator, base: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Noise; a third of it leaves two decimals, as prices have."""
        finite = base[np.isfinite(base)]
        width = float(np.std(finite)) if len(finite) else 1.0
        noise = 0.05 * width * random.normal(size=len(base))
        cents = random.random(len(base)) < 1 / 3
        noise[cents] = (np.round(base + noise, 2) - base)[cents]
        return np.asarray(noise)

    def _turns(
        self, random: np.random.Generator, count: int, instead: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Where the model turns, or up to three numbers beside, in float64 or in float32."""
        if self.critical is None or not len(self.critical):
            return instead
        values = random.choice(np.asarray(self.critical, np.float64), count)
        steps = random.integers(-3, 4, size=count)
        bits = values + steps * np.abs(np.spacing(values))
        narrow = values.astype(np.float32)
        near = narrow + np.sign(steps).astype(np.float32) * np.spacing(np.abs(narrow))
        return np.where(random.random(count) < 0.3, near.astype(np.float64), bits)

    def _fitted(
        self, random: np.random.Generator, out: NDArray[np.float64], first: int
    ) -> NDArray[Any]:
        """The dtype of the column, with missing values where it may have them."""
        wanted = self.column.numpy
        if self.whole:
            limits = np.iinfo(self.column.dtype)
            low, high = max(limits.min, -(2**53)), min(limits.max, 2**53)
            out = np.clip(np.round(out), low, high)
        if self.column.nullable:
            out[first:][random.random(len(out) - first) < 0.1] = np.nan
        elif wanted.kind == "f":
            out = np.where(np.isfinite(out.astype(wanted)), out, 0.0)
        else:
            out = np.nan_to_num(out)
        return out.astype(wanted)

    def _chosen(
        self,
        random: np.random.Generator,
        picks: Sequence[NDArray[np.int64]],
        odd: NDArray[np.bool_],
    ) -> NDArray[Any]:
        """Samples and known values; unknown and missing ones where they may be."""
        count = len(odd)
        known: list[Any] = [True, False] if self.column.dtype == "bool" else []
        known += [] if self.critical is None else self.critical.tolist()
        known += list(self.column.categories or ())
        if self.given is not None:
            known += [value for value in self.given.tolist() if value is not None]
            known += _mixed(random, [value for value in known if isinstance(value, dict)])
        if self.text:
            known = [str(value) for value in dict.fromkeys(known)] or ["a", "b"]
        chosen = np.empty(count, dtype=object)
        chosen[:] = [known[at] for at in random.integers(len(known), size=count)]
        if self.given is not None:
            first = count // 8
            chosen[:first] = np.asarray(self.given, dtype=object)[picks[0][:first]]
        if self.text:
            chosen[odd & (random.random(count) < 0.1)] = UNKNOWN
        if self.column.nullable:
            chosen[count // 8 :][random.random(count - count // 8) < 0.1] = None
        return chosen.astype(self.column.numpy)


def _mixed(random: np.random.Generator, objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Objects whose fields come from different ones of those, each field missing in some."""
    fields: dict[str, list[Any]] = {}
    for one in objects:
        for name, value in one.items():
            fields.setdefault(name, []).append(value)
    return [
        {
            name: values[random.integers(len(values))]
            for name, values in fields.items()
            if random.random() < 0.8
        }
        for _ in range(len(objects) and MIXED)
    ]
