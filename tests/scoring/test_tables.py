from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bentos.registry.sources import StoreUnavailable
from bentos.scoring.tables import Folder, Unfit, find
from tests.serving.servers import BUCKET, storing

TABLE = pa.table({"x": [1.0, 2.0], "name": ["a", "b"]})


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        storing(tmp_path_factory.mktemp("s3") / "s3") as (store, _),
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in store.env.items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder that is not there yet; its name needs quoting in a URI."""
    if request.param == "disk":
        return str(tmp_path / "a table")
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}/a table"


def put(folder: Folder, *names: str) -> None:
    for name in names:
        with folder.writing(name) as file:
            if name.endswith(".parquet"):
                parquet.write_table(TABLE, file)
            else:
                file.write(b"x,name\n1,a\n2,b\n")


def test_parts_are_tables_in_order_and_nothing_hidden(place: str) -> None:
    folder = Folder(place)
    assert folder.parts() == []
    put(folder, "b.csv", "a.parquet", "_note.csv", ".part.parquet", "notes.txt", "day=1/c.CSV")
    assert folder.parts() == ["a.parquet", "b.csv", "day=1/c.CSV"]


@pytest.mark.parametrize("name", ["a.parquet", "b.csv"])
def test_rows_come_back_as_they_were(place: str, name: str) -> None:
    folder = Folder(place)
    put(folder, name)
    with folder.batches(name, {"x": pa.float64()}) as batches:
        assert batches.read_all().equals(TABLE)


def test_a_file_whose_writing_breaks_off_does_not_appear(place: str) -> None:
    folder = Folder(place)
    with suppress(ZeroDivisionError), folder.writing("a.csv") as file:
        file.write(b"x\n1\n")
        raise ZeroDivisionError
    assert folder.parts() == []
    assert folder.read("a.csv") is None
    put(folder, "a.csv")
    assert folder.parts() == ["a.csv"]


def test_a_table_may_be_one_file(place: str) -> None:
    put(Folder(place), "a.csv", "b.csv")
    folder, parts = find(f"{place}/b.csv")
    assert (folder.uri, parts) == (place, ["b.csv"])
    assert find(place)[1] == ["a.csv", "b.csv"]


def test_what_holds_no_table_is_named(place: str) -> None:
    with pytest.raises(Unfit, match=r"a table holds no \.parquet or \.csv file"):
        find(place)


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(StoreUnavailable, match="s3://nowhere"):
        find("s3://nowhere/table")


@pytest.mark.parametrize("uri", ["gs://bucket/table", "s3://"])
def test_other_places_are_refused(uri: str) -> None:
    with pytest.raises(Unfit, match="neither a path nor s3://bucket/prefix"):
        find(uri)
