"""`python -m bentos.itransformer.install FOLDER ORDER`: make an uploaded bundle a version.

It runs apart from the service: strangers' files are read here, under a limit of memory. ORDER is
JSON, and so is `outcome.json` in the folder.
"""

import resource
import sys
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from bentos.itransformer.bundles import read
from bentos.itransformer.uploads import OUTCOME, Order, Outcome
from training.errors import InputError, TrainingError
from training.itransformer.forecaster import Forecaster
from training.itransformer.frames import Series
from training.itransformer.names import EXPERIMENT

SAMPLED = 64  # rows beyond one window


def install(folder: Path, order: Order) -> str:
    """Register a bundle, and promote it if it is the first or so ordered; give its version."""
    forecaster = read(folder, order.form)
    series = made_rows(forecaster)
    forecaster.predict(series.window(forecaster.config.columns, len(series) - SAMPLED)[None])
    import mlflow
    from training import tracking
    from training.itransformer import package
    from training.itransformer.jobs import is_first

    with tracking.run(EXPERIMENT):
        mlflow.set_tag("ascenso.data", "uploaded")
        version = package.register(order.name, forecaster, series)
        if order.form.promote or is_first(version):
            tracking.promote(version)
    return str(version.version)


def made_rows(forecaster: Forecaster) -> Series:
    """Rows as a model may have seen: samples for a version whose training is unknown."""
    config = forecaster.config
    count = config.architecture.seq_len + SAMPLED
    noise = np.random.default_rng(7).standard_normal((count, len(config.columns)))
    values = np.array(config.mean) + np.array(config.scale) * noise
    try:
        dates = pd.date_range("2024-01-01", periods=count, freq=config.step)
    except ValueError as error:
        raise InputError(
            f"The step is {config.step!r}: give one such as h, 15min or D."
        ) from error
    return Series("samples", dates, values, config.columns, config.step)


def main(folder: str, order: str) -> None:
    """Run from the command line."""
    wanted = msgspec.json.decode(order, type=Order)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted.memory_bytes, wanted.memory_bytes))
    try:
        outcome = Outcome(version=install(Path(folder), wanted))
    except InputError as error:
        outcome = Outcome(error=error.message, bad=True)
    except MemoryError:
        outcome = Outcome(error="It takes more memory than a model may.", bad=True)
    except TrainingError as error:
        outcome = Outcome(error=error.message)
    Path(folder, OUTCOME).write_bytes(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
