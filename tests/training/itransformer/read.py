"""Series as the tests have them: rows of JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from training.data import Dataset
from training.itransformer.frames import Series, from_dataset


def from_rows(rows: Sequence[Mapping[str, Any]], source: str = "data") -> Series:
    """Check rows as JSON has them, such as `{"date": "2024-01-01 00:00:00", "OT": 12.5}`."""
    table = pd.DataFrame(list(rows))
    return from_dataset(Dataset(source, source, "", table))
