"""What stands in for missing values, and the columns that say where they were."""

from dataclasses import replace
from typing import Any

import numpy as np

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Column, Frame, Words
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import transformer


@transformer("SimpleImputer")
def simple(b: Builder, model: Any, frame: Frame) -> Frame:
    """The model's statistics where values are missing; columns without any are left out."""
    empty = [isinstance(value, float) and np.isnan(value) for value in model.statistics_]
    kept = [at for at in range(len(frame)) if model.keep_empty_features or not empty[at]]
    made = [_filled(b, frame[at], model.missing_values, model.statistics_[at]) for at in kept]
    numeric = [column for column in made if column.text is None]
    joined = iter(_joined(b, frame, kept, model) if numeric else ())
    columns = tuple(next(joined) if column.text is None else column for column in made)
    if not model.add_indicator:
        return columns
    return columns + indicator(b, model.indicator_, frame)


def _filled(b: Builder, column: Column, missing: Any, fill: Any) -> Column:
    """A text column, in which some values now stand for others; a number's stays as it is."""
    if column.text is None:
        return column
    if not isinstance(fill, str):
        raise NoGraph(f"missing text in {column.text!r} becomes {fill!r}")
    if _is_nan(missing):
        return replace(column, renamed=(*column.renamed, (None, fill)), doors=frozenset())
    b.refuse_missing([column])
    if not isinstance(missing, str):
        return column
    b.words.setdefault(column.text, Words()).code(missing)
    return replace(column, renamed=(*column.renamed, (missing, fill)))


def _joined(b: Builder, frame: Frame, kept: list[int], model: Any) -> Frame:
    """The columns of numbers, filled in one step."""
    numeric = [at for at in kept if frame[at].text is None]
    before = tuple(frame[at] for at in numeric)
    fill = np.array([float(model.statistics_[at]) for at in numeric])
    tensor = b.matrix(before)
    lacks = _lacks(b, tensor, model.missing_values)
    made = b.node("Where", lacks, b.constant(fill, b.types[tensor]), tensor, dtype=b.types[tensor])
    far = np.maximum([column.reach for column in before], np.abs(fill))
    after = b.changed(made, before, far)
    if not _is_nan(model.missing_values):
        b.refuse_missing(before)
        return after
    return tuple(replace(column, doors=frozenset()) for column in after)


@transformer("MissingIndicator")
def indicator(b: Builder, model: Any, frame: Frame) -> Frame:
    """1 where a value is missing, in the columns that the model looks at."""
    looked = [frame[at] for at in model.features_]
    if model.features == "missing-only" and model.error_on_new:
        b.refuse_missing(c for at, c in enumerate(frame) if at not in set(model.features_))
    if any(column.text is not None for column in looked):
        raise NoGraph("an indicator of missing text has no exact form")
    if not looked:
        return ()
    lacks = _lacks(b, b.matrix(tuple(looked)), model.missing_values)
    return b.frame(b.cast(lacks, np.float64), np.ones(len(looked)))


def _lacks(b: Builder, tensor: str, missing: Any) -> str:
    if _is_nan(missing):
        return b.node("IsNaN", tensor, dtype=np.bool_)
    value = b.constant(float(missing), b.types[tensor])
    return b.node("Equal", tensor, value, dtype=np.bool_)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and bool(np.isnan(value))
