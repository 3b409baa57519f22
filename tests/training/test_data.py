import hashlib
from pathlib import Path

import pandas as pd
import pytest

from tests.training.conftest import Bucket
from training.data import read_dataset, synthetic_dataset
from training.errors import InputError

TABLE = pd.DataFrame({"name": ["a", "b"], "value": [1.5, None]})


@pytest.fixture(params=["csv", "parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"table.{request.param}"
    if request.param == "csv":
        TABLE.to_csv(path, index=False)
    else:
        TABLE.to_parquet(path)
    return path


def test_reads_a_file(file: Path) -> None:
    dataset = read_dataset(str(file), ["value", "name"])
    pd.testing.assert_frame_equal(dataset.table, TABLE)
    assert dataset.name == file.name
    assert dataset.source == str(file)
    assert dataset.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not dataset.synthetic


def test_the_ending_may_be_in_capitals(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "TABLE.CSV", index=False)
    pd.testing.assert_frame_equal(read_dataset(str(tmp_path / "TABLE.CSV")).table, TABLE)


def test_missing_columns_are_named_with_the_file(file: Path) -> None:
    with pytest.raises(InputError) as error:
        read_dataset(str(file), ["name", "Presion", "Volumen"])
    assert str(error.value) == f"{file} has no column Presion, Volumen; it has: name, value."


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv: No such file or directory"):
        read_dataset(str(tmp_path / "gone.csv"))
    with pytest.raises(InputError, match="Is a directory"):
        read_dataset(str(tmp_path))


@pytest.mark.parametrize("name", ["table.xlsx", "table"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"give a \.csv or \.parquet"):
        read_dataset(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("binary.csv", b"\xff\xfe\x00\x01"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n"),
        ("empty.parquet", b""),
        ("text.parquet", b"a,b\n1,2\n"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} is no readable"):
        read_dataset(str(tmp_path / name))


def test_no_rows(tmp_path: Path) -> None:
    (tmp_path / "head.csv").write_text("name,value\n")
    with pytest.raises(InputError, match=r"head\.csv has no rows"):
        read_dataset(str(tmp_path / "head.csv"), ["name"])


def test_reads_from_s3(bucket: Bucket, file: Path) -> None:
    dataset = read_dataset(bucket.put(f"gas/{file.name}", file))
    pd.testing.assert_frame_equal(dataset.table, TABLE)
    assert dataset.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert dataset.name == file.name


def test_s3_errors_name_the_address(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"s3://data/gone\.csv: .*NoSuchKey"):
        read_dataset("s3://data/gone.csv")
    with pytest.raises(InputError, match=r"s3://nowhere/x\.csv: .*NoSuch"):
        read_dataset("s3://nowhere/x.csv")
    with pytest.raises(InputError, match=r"s3://data is no s3://bucket/key"):
        read_dataset("s3://data")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(InputError, match=r"s3://data/gone\.csv: .*Check AWS_ENDPOINT_URL"):
        read_dataset("s3://data/gone.csv")


def test_s3_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(InputError, match="Could not connect to the endpoint URL"):
        read_dataset("s3://data/table.csv")


def test_made_tables_are_named_synthetic() -> None:
    made, changed = (
        synthetic_dataset("gas", 1, TABLE),
        synthetic_dataset("gas", 1, TABLE.fillna(0)),
    )
    assert (made.name, made.source, made.synthetic) == ("gas-synthetic", "synthetic:seed=1", True)
    assert made.sha256 == synthetic_dataset("gas", 1, TABLE.copy()).sha256 != changed.sha256


def test_text_of_a_csv_is_taken_as_it_is_written(tmp_path: Path) -> None:
    """pandas reads NA, null and None as missing, and 007 as seven."""
    names = ["NA", "null", "None", "nan", "", "007", "1.0", " a", "TRUE"]
    path = tmp_path / "names.csv"
    path.write_text("name,value\n" + "".join(f"{name},NA\n" for name in names))
    table = read_dataset(str(path), text=["name", "absent"]).table
    assert table["name"].fillna("missing").tolist() == [name or "missing" for name in names]
    assert table["value"].isna().all()
    path.write_text("name,value\n1,2\n3,4\n")
    assert read_dataset(str(path), text=["name"]).table["name"].tolist() == ["1", "3"]
