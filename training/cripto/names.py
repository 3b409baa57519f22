"""What features, outputs and files are called: all that a service must know before it has data.

Nothing heavy is imported here, as pandas would cost every start a second.
"""

import os
from pathlib import PurePosixPath

from training.errors import InputError

RETURNS = (1, 2, 3, 5, 10, 20)  # days
LAGS = (1, 2, 3, 4, 5)  # days before
AVERAGES = (5, 20)
SYMBOL = "symbol"
NUMERIC = (
    *(f"return_{days}" for days in RETURNS),
    *(f"lag_{days}" for days in LAGS),
    *(f"average_{days}" for days in AVERAGES),
    *(f"volatility_{days}" for days in AVERAGES),
    "robust_z_20",
    "parkinson_10",
    "atr_14",
    "body",
    "upper_wick",
    "lower_wick",
    "range",
    "volume_z_20",
    "drawdown_90",
    "weekday_sin",
    "weekday_cos",
    "month_sin",
    "month_cos",
)
FEATURES = (*NUMERIC, SYMBOL)
OUTPUTS = {"regressor": ("retorno",), "classifier": ("baixa", "alta")}

ROOT = "ASCENSO_DATA"
DEFAULT_ROOT = "s3://ascenso/data"
DAILY = "daily.csv"
SYNTHETIC = "synthetic.csv"  # made rows: they step aside once there are any others
SUFFIXES = (".csv", ".parquet")


def root() -> str:
    """Where prices lie: `ASCENSO_DATA`, an `s3://bucket/prefix`.

    Raises `InputError` when it is something else.
    """
    location = os.environ.get(ROOT) or DEFAULT_ROOT
    if not location.startswith("s3://"):
        raise InputError(f"{ROOT} has value {location!r}. Give s3://bucket/prefix.")
    return location.rstrip("/")


def place(key: str) -> tuple[str, str] | None:
    """Symbol and name of a file that holds prices, by its key below the root; None of others."""
    path = PurePosixPath(key)
    if len(path.parts) != 2 or path.suffix.lower() not in SUFFIXES:
        return None
    return path.parts[0], path.parts[1]
