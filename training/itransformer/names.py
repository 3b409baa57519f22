"""What models, jobs and their parts are called: all that a service needs without torch."""

import re

from training.errors import InputError

EXPERIMENT = "itransformer"
FLAVOR = "itransformer"
PREFIX = "itransformer-"
NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")

# A job is a run in the experiment, made with the status SCHEDULED.
KIND, MODEL, PROMOTE = "job.kind", "job.model", "job.promote"  # tags that ask
ERROR, VERSION = "job.error", "job.version"  # tags that answer
TRAIN, FINE_TUNING = "train", "fine_tuning"  # kinds
REQUEST, DATA = "job/request.json", "job/data.parquet"  # artifacts


def registered_name(name: str) -> str:
    """Give the registered model of a forecaster's name. Raises `InputError` for a bad name."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"The model name is {name!r}: give up to 100 letters, digits, '_' and '-'."
        )
    return PREFIX + name
