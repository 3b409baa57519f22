"""Every flavor, in each manner of logging it, answers as the model itself does."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bentos.flavors.opening import open_model
from bentos.flavors.samples import samples_of
from bentos.tensors import BadInput, Batch, Schema, fit
from tests.flavors.graphs.tables import TEXTS
from tests.flavors.kinds import CASES, NO_EXAMPLE_NO_FILE, pickled
from tests.flavors.logged import MANNERS, Case, rows, saved

CELLS = [
    (name, manner)
    for name in CASES
    for manner in MANNERS
    if not (name in NO_EXAMPLE_NO_FILE and manner in ("signature", "neither"))
]
SOURCES = {"both": "signature", "signature": "signature", "example": "example", "neither": "model"}


@pytest.mark.parametrize(("name", "manner"), CELLS)
def test_answers_are_the_models_own(name: str, manner: str, tmp_path: Path) -> None:
    case = CASES[name]()
    mlmodel = saved(case, manner, tmp_path)
    opened = open_model(mlmodel)
    assert opened.schema.source == SOURCES[manner]
    same(opened.predict(batch(opened.schema, case, rows(case))), case.answers(rows(case)))
    for given, column in odd(opened.schema, case):
        expected = own(case, given)
        asked = batch(opened.schema, case, given, checked=False)
        if expected is None:
            with pytest.raises(BadInput) as bad:
                opened.predict(asked)
            assert (bad.value.row, bad.value.column) == (1, column)
        else:
            same(opened.predict(asked), expected)
    samples, made_up = samples_of(mlmodel, opened)
    assert made_up == (manner in ("signature", "neither"))
    assert len(opened.predict(samples)) >= 1
    if not made_up:
        few = rows(case, 5)
        same(opened.predict(samples), case.answers(few))


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("scikit-learn")])
def test_a_pickle_is_read_as_data(name: str, tmp_path: Path) -> None:
    case = replace(CASES[name](), save=pickled)
    opened = open_model(saved(case, "neither", tmp_path))
    assert opened.note == "read from a pickle"
    same(opened.predict(batch(opened.schema, case, rows(case))), case.answers(rows(case)))


def same(found: Batch, expected: NDArray[Any]) -> None:
    values = next(iter(found.values())) if len(found) == 1 else found.block()
    assert values.size == expected.size
    values = values.reshape(expected.shape)
    if expected.dtype.kind in "OU":
        assert (values == expected).all()
    else:
        assert np.abs(values - expected).max() <= 1e-6 * max(1.0, float(np.abs(expected).max()))


def batch(schema: Schema, case: Case, given: Any, checked: bool = True) -> Batch:
    """Rows in the columns of a schema, checked as a door does or as they are."""
    columns: dict[str, Any] = {}
    if case.form == "texts" or (case.form == "objects" and schema.single):
        made = np.empty(len(given), dtype=object)
        made[:] = given
        columns = {schema.names[0]: made}
    elif isinstance(given, np.ndarray):
        width = {} if schema.single else dict(zip(schema.names, given.T, strict=True))
        columns = width or {"": given}
    else:
        table = pd.DataFrame(given)
        table.columns = table.columns.str.replace(
            " ", "_" if "unit_price" in schema.names else " "
        )
        for name in schema.names:
            values = table[name]
            columns[name] = values.to_numpy()
            if values.dtype.kind not in "if":
                columns[name] = values.astype(object).where(values.notna(), None).to_numpy()
    return fit(schema, columns) if checked else Batch(columns)


def odd(schema: Schema, case: Case) -> list[tuple[Any, str]]:
    """Three rows each, of which the second has a value missing, or one that nobody knows."""
    if case.form in ("texts", "objects"):
        return []
    made: list[tuple[Any, str]] = []
    good = rows(case, 3)
    if isinstance(good, np.ndarray):
        for at in range(good.shape[1]):
            lacking = good.copy()
            lacking[1, at] = np.nan
            made.append((lacking, "" if schema.single else schema.names[at]))
        return made
    for name in good:
        spelled = name if name in schema.names else name.replace(" ", "_")
        text = name in TEXTS
        lacking = good.astype({name: object if text else float})
        lacking.iloc[1, list(good).index(name)] = None if text else np.nan
        made.append((lacking, spelled))
        if text:
            strange = good.astype({name: object})
            strange.iloc[1, list(good).index(name)] = "Atlantis"
            made.append((strange, spelled))
    return made


def own(case: Case, given: Any) -> NDArray[Any] | None:
    """What the model itself answers, or None where it refuses, or says no number."""
    strange = isinstance(given, pd.DataFrame) and bool((given == "Atlantis").any().any())
    if strange and case.strangers == "refused":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answers = np.asarray(case.answers(given))
    except Exception:
        return None
    return None if answers.dtype.kind == "f" and np.isnan(answers).any() else answers
