"""The store, in a real S3."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from tests.training.conftest import Bucket
from tests.training.cripto.conftest import MANY, days, real
from training.cripto import prices
from training.cripto.names import DAILY, SYNTHETIC, root
from training.cripto.store import Store, assemble, ingest, open_store
from training.errors import InputError


def contents(bucket: Bucket) -> dict[str, tuple[str, object]]:
    """Every object's digest and time of writing."""
    listed = bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])
    return {
        entry["Key"]: (
            hashlib.sha256(
                bucket.client.get_object(Bucket=bucket.name, Key=entry["Key"])["Body"].read()
            ).hexdigest(),
            entry["LastModified"],
        )
        for entry in listed
    }


def test_the_same_file_twice_changes_nothing(
    bucket: Bucket, store: Store, commas: Path, bars: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "training")
    ingest([str(commas)], store, replace=False)
    ingest([str(bars)], store, replace=False)
    before = contents(bucket)
    assert set(before) == {"prices/MAD/daily.csv", "prices/NIL/daily.csv"}
    for again in ([bars], [commas], [commas, bars], [bars, commas]):
        caplog.clear()
        ingest([str(path) for path in again], store, replace=False)
        assert contents(bucket) == before
        assert "0 days added; 0 of" in caplog.text
    assert days(store.table()) == [
        ("MAD", "2024-05-01", 11.25),
        ("MAD", "2024-05-02", 9.5),
        ("MAD", "2024-05-03", 10.0),
        ("NIL", "2024-05-03", 2.0),
    ]


def test_one_call_is_like_one_after_the_other(
    bucket: Bucket, store: Store, commas: Path, bars: Path
) -> None:
    ingest([str(commas), str(bars)], store, replace=False)
    assert ("MAD", "2024-05-02", 9.5) in days(store.table())
    ingest([str(commas), str(bars)], store, replace=True)
    assert ("MAD", "2024-05-02", 9.6) in days(store.table())


def test_days_that_differ_are_reported_and_kept_unless_replaced(
    store: Store, commas: Path, bars: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "training")
    ingest([str(commas)], store, replace=False)
    ingest([str(bars)], store, replace=False)
    assert "1 days differ from those in the store, which were kept" in caplog.text
    assert ("MAD", "2024-05-02", 9.5) in days(store.table())
    ingest([str(bars)], store, replace=True)
    assert ("MAD", "2024-05-02", 9.6) in days(store.table())
    assert "dropped 2 with a price of 0 or none, 1 of a day that was not over" in caplog.text


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\x00\xff\x00", b""])
def test_a_file_that_cannot_be_read_changes_nothing(
    bucket: Bucket, store: Store, commas: Path, bars: Path, content: bytes
) -> None:
    ingest([str(commas)], store, replace=False)
    before = contents(bucket)
    broken = bars.with_name("broken.csv")
    broken.write_bytes(content)
    for files in ([bars, broken], [broken, bars]):
        with pytest.raises(InputError, match=r"broken\.csv"):
            ingest([str(path) for path in files], store, replace=True)
    assert contents(bucket) == before


def test_a_stored_file_that_cannot_be_read_is_left_alone(
    bucket: Bucket, store: Store, bars: Path
) -> None:
    bucket.client.put_object(Bucket=bucket.name, Key="prices/NIL/daily.csv", Body=b"x")
    before = contents(bucket)
    with pytest.raises(InputError, match=r"s3://data/prices/NIL/daily\.csv"):
        ingest([str(bars)], store, replace=False)
    assert contents(bucket) == before


def test_other_files_beside_are_read_too(
    bucket: Bucket, store: Store, commas: Path, bars: Path, tmp_path: Path
) -> None:
    ingest([str(commas)], store, replace=False)
    parquet = tmp_path / "more.parquet"
    pd.read_csv(bars, sep="|").to_parquet(parquet)
    bucket.put("prices/MAD/more.parquet", parquet)
    bucket.put("prices/MAD/deeper/other.csv", bars)
    bucket.client.put_object(Bucket=bucket.name, Key="prices/README.txt", Body=b"hello")
    bucket.client.put_object(Bucket=bucket.name, Key="prices/MAD/notes.txt", Body=b"hello")
    assert store.names() == {"MAD": ["daily.csv", "more.parquet"]}
    assert [day for _, day, _ in days(store.table())] == ["2024-05-01", "2024-05-02", "2024-05-03"]


def test_made_rows_step_aside(coins: pd.DataFrame, commas: Path) -> None:
    made = prices.to_csv(coins.assign(symbol="MAD").drop_duplicates("date"))
    alone = assemble("s3://x", "MAD", {SYNTHETIC: made})
    assert (len(alone.table), alone.synthetic) == (150, True)
    both = assemble("s3://x", "MAD", {SYNTHETIC: made, DAILY: commas.read_bytes()})
    assert (len(both.table), both.synthetic) == (2, False)


def test_the_environment_names_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert root() == "s3://ascenso/data"
    monkeypatch.setenv("ASCENSO_DATA", "s3://mine/prices/")
    assert root() == "s3://mine/prices"
    monkeypatch.setenv("ASCENSO_DATA", "prices/here")
    with pytest.raises(InputError, match="ASCENSO_DATA has value 'prices/here'"):
        root()


def test_s3_that_refuses_is_named(bucket: Bucket) -> None:
    with pytest.raises(InputError, match=r"s3://nowhere/prices: .*NoSuchBucket"):
        open_store("s3://nowhere/prices").table()
    with pytest.raises(InputError, match=r"prices is no s3://bucket/prefix"):
        open_store("prices")


def test_the_real_files(store: Store) -> None:
    files = [real("coin_Bitcoin.csv"), real("coin_Ethereum.csv"), real(MANY)]
    ingest(files, store, replace=False)
    table = store.table()
    last = table.groupby("symbol")["date"].max().astype(str)
    assert (table["symbol"].nunique(), len(table)) == (100, 6498)
    assert last["BTC"] == last["AERO"] == "2025-07-28"
