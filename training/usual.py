"""What is usual for a model: the shares of what its columns hold, for services to compare with.

Format: `docs/drift.md`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

FILE = "ascenso/reference.json"  # in a model's folder
RANKS = np.arange(1, 10) / 10
MOST_TEXTS = 1000


@dataclass(frozen=True)
class Usual:
    """The rows of a training, named as a service sends them, and answers to rows like these.

    A gap is a missing value. For the answers, rows that were not learned from are best.
    """

    inputs: pd.DataFrame
    outputs: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write the file into a model's folder."""
        path = folder / FILE
        path.parent.mkdir(exist_ok=True)
        sides = {
            side: {str(name): described(table[name]) for name in table}
            for side, table in (("inputs", self.inputs), ("outputs", self.outputs))
        }
        rows = min(len(self.inputs), len(self.outputs))
        path.write_bytes(msgspec.json.encode({"format": 1, "rows": rows, **sides}))


def described(column: "pd.Series[Any]") -> dict[str, Any]:
    """Describe a column: as numbers, or as texts where it is neither of numbers nor of truths."""
    missing, there = float(column.isna().mean()), column.dropna()
    if pd.api.types.is_numeric_dtype(there):
        return {"kind": "numbers", "missing": missing, **of_numbers(there.to_numpy(np.float64))}
    counts = there.astype(str).value_counts(normalize=True)
    shares = {str(text): float(share) for text, share in counts.iloc[:MOST_TEXTS].items()}
    whole = len(counts) <= MOST_TEXTS
    return {"kind": "texts", "missing": missing, "shares": shares, "whole": whole}


def of_numbers(values: "np.ndarray[Any, np.dtype[np.float64]]") -> dict[str, Any]:
    """Describe numbers (n,): their ends, and the shares between their deciles.

    Each bin holds its upper edge; numbers that come often make fewer bins.
    """
    low, high = float(values.min()), float(values.max())
    edges = np.unique(np.quantile(values, RANKS, method="inverted_cdf"))
    edges = edges[edges < high]
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    shares = (counts / len(values)).tolist()
    return {"low": low, "high": high, "edges": edges.tolist(), "shares": shares}
