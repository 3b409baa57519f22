"""Made coins, the real files where they are at hand, and a store in a real S3."""

from pathlib import Path

import msgspec
import pandas as pd
import pytest

from tests.training.conftest import Bucket
from training.cripto.settings import Settings, Synthetic
from training.cripto.store import Store, open_store
from training.cripto.synthetic import synthetic
from training.settings import read_settings

REAL = Path(__file__).parents[4] / "shared" / "data" / "cripto"
MANY = "cryptocompare_daily_100coins_2025-06-29_2025-07-29.csv"


def real(name: str) -> str:
    """A real file's path; skips where it is missing."""
    path = REAL / name
    if not path.exists():
        pytest.skip(f"no {name} beside the repository, in ../shared/data/cripto")
    return str(path)


def days(table: pd.DataFrame) -> list[tuple[str, str, float]]:
    """Symbol, day and close of each row."""
    return list(
        zip(table["symbol"], table["date"].dt.strftime("%Y-%m-%d"), table["close"], strict=True)
    )


@pytest.fixture(scope="session")
def cripto_settings() -> Settings:
    return msgspec.structs.replace(
        read_settings("cripto", Settings), folds=3, forest_trees=5, boosting_trees=5
    )


@pytest.fixture(scope="session")
def coins() -> pd.DataFrame:
    """Six made coins of 150 days."""
    return synthetic(Synthetic(days=150, seed=3))


@pytest.fixture
def store(bucket: Bucket) -> Store:
    return open_store(f"s3://{bucket.name}/prices")


@pytest.fixture
def commas(tmp_path: Path) -> Path:
    """A file of the comma-separated form: two days of one coin."""
    path = tmp_path / "coin_Made.csv"
    path.write_text(
        "Date,open,high,low,close,volume,Name,Symbol,Marketcap\n"
        "2024-05-01,10.5,12.0,10.0,11.25,1000.5,Made,mad ,\n"
        "2024-05-02,11.25,11.5,9.0,9.5,2000.0,Made,MAD,\n"
    )
    return path


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """A file of the bar-separated form: three days of two coins, two rows without a price."""
    path = tmp_path / "history.csv"
    path.write_text(
        "symbol|datetime|timestamp|high|low|open|close|volumefrom|volumeto\n"
        "MAD|2024-05-02 00:00:00|1714608000|11.6|9.1|11.3|9.6|2100|20000\n"
        "MAD|2024-05-03 00:00:00|1714694400|10.5|9.5|9.6|10.0|1500|15000\n"
        "MAD|2024-05-04 00:00:00|1714780800|10.1|9.9|10.0|10.0|10|100\n"
        "NIL|2024-05-02 00:00:00|1714608000|0|0|0|0|0|0\n"
        "NIL|2024-05-03 00:00:00|1714694400|2.5|1.5|2|2|7|14\n"
        "NIL|2024-05-04 00:00:00|1714780800|0|0|0|0|0|0\n"
    )
    return path
