"""What a training writes is what services read."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bentos.drift.reference import BESIDE, Numbers, Reference, Texts, read
from training.usual import FILE, MOST_TEXTS, Usual


def written(folder: Path, **columns: object) -> Reference:
    table = pd.DataFrame(columns)
    Usual(table, table.iloc[:, :1]).write(folder)
    found = read(folder / BESIDE)
    assert found
    return found


def test_services_look_where_it_is_written() -> None:
    assert FILE == BESIDE


def test_numbers_are_cut_at_deciles_and_texts_are_counted(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        x=np.arange(1, 101.0),
        genre=["rock"] * 60 + ["metal"] * 20 + [None] * 20,
        truth=[True] * 30 + [False] * 70,
        some=[np.nan] * 50 + [7.0] * 50,
    )
    deciles = tuple(range(10, 100, 10))
    assert found.inputs["x"] == Numbers(0.0, 1.0, 100.0, deciles, (0.1,) * 10)
    assert found.inputs["genre"] == Texts(0.2, {"rock": 0.75, "metal": 0.25}, True)
    assert found.inputs["truth"] == Numbers(0.0, 0.0, 1.0, (0.0,), (0.7, 0.3))
    assert found.inputs["some"] == Numbers(0.5, 7.0, 7.0, (), (1.0,))
    assert (found.rows, list(found.outputs)) == (100, ["x"])


def test_names_of_everything_are_not_all_kept(tmp_path: Path) -> None:
    many = [f"name {n}" for n in range(MOST_TEXTS + 1)]
    texts = written(tmp_path, name=many).inputs["name"]
    assert isinstance(texts, Texts)
    assert (len(texts.shares), texts.whole) == (MOST_TEXTS, False)


@pytest.mark.parametrize("content", ["", "{}", '{"rows": 1, "inputs": {}, "outputs": {"x": 1}}'])
def test_what_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "reference.json").write_text(content)
    assert read(tmp_path / "reference.json") is None
