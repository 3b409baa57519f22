"""A table gets the answers that calls get, or hears which column is wrong."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from bentos.flavors.mlmodel import MLmodel
from bentos.registry.client import Version
from bentos.scoring import rows
from bentos.scoring.rows import Columns
from bentos.scoring.tables import Folder, Unfit
from bentos.serving.release import Release
from bentos.spotify import EXAMPLE
from tests.scoring.conftest import Admit
from tests.stack import Stack

READINGS: dict[str, list[Any]] = {
    "presion": [1.2, 17.0, 16.5],
    "temperatura": [25.5, 20.0, -3.0],
    "volumen": [100, 50, 20],
}


def scored(release: Release, columns: Columns, table: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of each row, as the scored file has them."""
    batch = pa.record_batch(table)
    schema = columns.schema(batch.schema)
    answers = columns.score(release, batch)
    made = pa.Table.from_arrays([*batch.columns, *answers], schema=schema)
    rows: list[dict[str, Any]] = made.select(list(columns.outputs)).to_pylist()
    return rows


def called(url: str, table: dict[str, list[Any]]) -> Any:
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return httpx.post(url, json=rows, timeout=60).raise_for_status().json()


def test_readings_get_what_a_call_gets(stack: Stack, admit: Admit) -> None:
    found = scored(*admit("contugas-anomaly"), READINGS)
    assert found == called(f"{stack.api}/contugas/predict", READINGS)


def test_readings_go_as_a_matrix_and_get_the_same(
    admit: Admit, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    table: dict[str, Any] = {name: random.gamma(2, 20, 5000) for name in READINGS}
    table["volumen"] = table["volumen"].astype(np.int64)
    release, columns = admit("contugas-anomaly")
    found = scored(release, columns, table)
    monkeypatch.setattr(rows, "_within", lambda row, given: None)
    assert scored(release, columns, table) == found
    assert len({tuple(row.values()) for row in found}) > 2


def test_songs_get_what_a_call_gets(stack: Stack, admit: Admit) -> None:
    """Also where a name is unknown, and where a number comes as true."""
    songs: dict[str, list[Any]] = {name: [value] * 3 for name, value in EXAMPLE.items()}
    songs |= {"artists": ["Luke Bryan", None, ""], "energy": [0.1, 0.5, 0.9]}
    songs |= {"explicit": [True, False, True]}
    found = scored(*admit("spotify-popularity"), songs)
    assert found == called(f"{stack.api}/spotify/predict", songs)
    assert len({row["popularidad_estimada"] for row in found}) > 1


@pytest.mark.parametrize("model", ["cripto-regressor-rf", "cripto-classifier-log"])
def test_a_model_that_takes_columns_gets_them_by_name(admit: Admit, model: str) -> None:
    release, columns = admit(model)
    X = np.random.default_rng(0).normal(size=(5, len(columns.inputs)))
    table = dict(zip(columns.inputs, X.T, strict=True))
    found = scored(release, columns, dict(reversed(table.items())))
    expected = np.asarray(release.predict(X)).reshape(5, -1)
    assert [list(row.values()) for row in found] == expected.tolist()


def test_a_model_that_takes_tensors_gets_a_column_of_lists(admit: Admit) -> None:
    release, columns = admit("keras-default")
    (width,) = release.row_shape
    X = np.random.default_rng(0).normal(size=(4, width))
    (name,), (answer,) = columns.inputs, columns.outputs
    found = scored(release, columns, {name: X.tolist()})
    assert [row[answer] for row in found] == release.predict(X).tolist()
    for odd in (np.nan, None):
        with pytest.raises(Unfit, match="'row' has no finite numbers"):
            scored(release, columns, {name: [[odd] * width]})
    with pytest.raises(Unfit, match="shape"):
        scored(release, columns, {name: X[:, 1:].tolist()})
    with pytest.raises(Unfit, match=r"column 'row' is list<.*>, not tensor"):
        scored(release, columns, {name: [[1.0], [1.0, 2.0]]})


def test_no_rows_get_no_answers(admit: Admit) -> None:
    empty = pa.array([], pa.float64())
    assert scored(*admit("contugas-anomaly"), dict.fromkeys(READINGS, empty)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volumen": None}, r"the columns \['volumen'\] are missing"),
        ({"cliente": ["a"] * 3}, r"takes no columns \['cliente'\]: drop them, or --keep them"),
        ({"presion": ["a", "b", "c"]}, "Expected `float`, got `str` - at `\\$\\[0\\].presion`"),
        ({"presion": [1.0, None, 1.0]}, "'presion' has no finite number in row 1"),
        ({"presion": [1.0, 1.0, np.nan]}, "'presion' has no finite number in row 2"),
        ({"presion": [1.0, np.inf, 1.0]}, "'presion' has no finite number in row 1"),
        ({"presion": [1e10, 1.0, 1.0]}, "<= 1000000000.0 - at `\\$\\[0\\].presion`"),
    ],
)
def test_what_a_service_refuses_is_refused(
    admit: Admit, change: dict[str, Any], message: str
) -> None:
    table = {name: values for name, values in (READINGS | change).items() if values}
    with pytest.raises(Unfit, match=message):
        scored(*admit("contugas-anomaly"), table)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["1"] * 2, "'symbol' is string, not double"),
        (pa.array(["1", "2"], pa.large_string()), "'symbol' is large_string, not double"),
        ([1, None], "'symbol' has no finite number in row 1"),
        ([[1.0]] * 2, "'symbol' is list<item: double>, not double"),
        ([1.0, None], "'symbol' has no finite number in row 1"),
    ],
)
def test_a_column_of_another_type_is_named(admit: Admit, values: list[Any], message: str) -> None:
    release, columns = admit("cripto-regressor-rf")
    table: dict[str, Any] = {name: [0.0, 0.0] for name in columns.inputs}
    with pytest.raises(Unfit, match=message):
        scored(release, columns, table | {"symbol": values})


def test_a_kept_column_goes_along(admit: Admit) -> None:
    _, columns = admit("contugas-anomaly", "cliente")
    table = pa.schema([("cliente", pa.string()), *((name, pa.float64()) for name in READINGS)])
    assert columns.schema(table).names == ["cliente", *READINGS, "cluster", "prediccion"]
    assert columns.in_csv("contugas-anomaly")["cliente"] == pa.string()
    with pytest.raises(Unfit, match=r"\['cluster'\] are columns of the model itself"):
        admit("contugas-anomaly", "cluster")


def test_a_csv_may_say_true_where_a_service_takes_it(admit: Admit) -> None:
    _, columns = admit("spotify-popularity")
    types = columns.in_csv("spotify-popularity")
    assert "explicit" not in types
    assert (types["energy"], types["artists"]) == (pa.float64(), pa.string())


def test_a_signature_that_cannot_be_columns_is_named(tmp_path: Any) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {sklearn: {}}\n")
    with pytest.raises(Unfit, match=r"the signature's inputs .* cannot be columns"):
        Columns.of(MLmodel(tmp_path), ())


def test_pandas_writes_what_is_read(admit: Admit, tmp_path: Any) -> None:
    """Its missing numbers are nulls in Parquet, its text is large."""
    table = pa.Table.from_pandas(pd.DataFrame(READINGS).astype({"volumen": "Int64"}))
    release, columns = admit("contugas-anomaly")
    assert len(scored(release, columns, {n: table[n].combine_chunks() for n in READINGS})) == 3


def asked(inputs: dict[str, str], table: dict[str, Any]) -> NDArray[Any]:
    """What a model of these inputs is asked with."""
    given: list[NDArray[Any]] = []

    def predict(rows: NDArray[Any]) -> NDArray[Any]:
        given.append(rows)
        return np.zeros(len(rows))

    release = Release(Version("echo", "1"), predict, "native", 0.0, 0.0)
    scored(release, Columns(inputs, {"answer": "double"}), table)
    return given[0]


def test_values_beside_text_stay_what_they_are() -> None:
    """A model that knows the category 1 may know nothing of 1.0."""
    kinds = {"zip": "string", "code": "long", "member": "boolean", "pay": "double"}
    table = {"zip": ["01234", "7"], "code": [1, 2], "member": [True, False], "pay": [1.5, 2.0]}
    assert repr(asked(kinds, table).tolist()) == "[['01234', 1, True, 1.5], ['7', 2, False, 2.0]]"
    numbers = asked(
        {"code": "long", "member": "boolean"}, {n: table[n] for n in ("code", "member")}
    )
    assert numbers.dtype == np.float64
    assert numbers.tolist() == [[1.0, 1.0], [2.0, 0.0]]


@pytest.mark.parametrize(
    ("kind", "column", "values"),
    [
        ("string", pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        ("string", pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
        ("long", pa.array([7, 5]).dictionary_encode(), [7, 5]),
        ("double", pa.array([Decimal("1.25"), Decimal("-2.50")]), [1.25, -2.5]),
        ("double", pa.array([1.5, 2.0], pa.float16()), [1.5, 2.0]),
    ],
)
def test_other_writings_of_a_column_are_read(kind: str, column: pa.Array, values: Any) -> None:
    assert asked({"x": kind}, {"x": column}).ravel().tolist() == values


@pytest.mark.parametrize(
    ("kind", "column", "message"),
    [
        ("string", pa.array(["a", None]).dictionary_encode(), "'x' has 1 nulls"),
        ("double", pa.array([Decimal("1.5"), None]), "'x' has no finite number in row 1"),
        ("double", pa.nulls(2), "'x' has 2 nulls"),
        ("boolean", pa.array([True, None]), "'x' has 1 nulls"),
        ("long", pa.array([1.0, 1.5]), "'x' is double, not long"),
        ("long", pa.array([1, 2**53 + 1]), "'x' is int64, not long: Integer value"),
    ],
)
def test_what_would_become_another_value_is_refused(
    kind: str, column: pa.Array, message: str
) -> None:
    with pytest.raises(Unfit, match=message):
        asked({"x": kind}, {"x": column})


def test_the_index_that_pandas_wrote_goes_along(tmp_path: Path) -> None:
    people = pd.DataFrame({"x": [1.0, 2.0, 3.0], "city": pd.Categorical(["a", "b", "a"])})
    people.iloc[[2, 0, 1]].to_parquet(tmp_path / "people.parquet")
    columns = Columns({"x": "double", "city": "string"}, {"answer": "double"})
    with Folder(str(tmp_path)).batches("people.parquet", {}) as batches:
        (batch,) = batches
    schema = columns.schema(batch.schema)
    assert schema.names == ["x", "city", "__index_level_0__", "answer"]
    columns_scored = [*batch.columns, pa.array([0.5, 0.25, 0.0])]
    table = pa.Table.from_arrays(columns_scored, schema=schema)
    parquet.write_table(table, tmp_path / "scored.parquet")
    scored = pd.read_parquet(tmp_path / "scored.parquet")
    assert (scored.index.tolist(), scored["answer"].tolist()) == ([2, 0, 1], [0.5, 0.25, 0.0])
    assert scored["city"].dtype == "category"
