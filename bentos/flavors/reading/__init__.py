"""Models of other people's files, read as data: nothing of a file runs."""

from bentos.flavors.reading.checks import check
from bentos.flavors.reading.errors import Damaged, Unreadable, Unreviewed
from bentos.flavors.reading.joblib_files import read_joblib
from bentos.flavors.reading.limits import LIMITS, Limits
from bentos.flavors.reading.reader import Read, read_pickle
from bentos.flavors.reading.skops_files import read_skops

__all__ = [
    "LIMITS",
    "Damaged",
    "Limits",
    "Read",
    "Unreadable",
    "Unreviewed",
    "check",
    "read_joblib",
    "read_pickle",
    "read_skops",
]
