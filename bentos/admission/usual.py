"""What is usual for a version by its input example, where that has enough rows."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bentos.drift.columns import columns
from bentos.drift.psi import FEWEST_ROWS
from bentos.drift.reference import BESIDE, FILE
from bentos.drift.tally import Tally
from bentos.flavors import examples
from bentos.flavors.carried import Carried
from bentos.flavors.mlmodel import MLmodel
from bentos.tensors import Batch, Schema

MOST_ROWS = 2000
CHUNK = 500  # rows that are asked at once, in the end
SECONDS = 3.0  # after which no more are asked: an admission has a deadline

log = logging.getLogger(__name__)


def leave_usual(
    mlmodel: MLmodel,
    carried: Carried | None,
    schema: Schema,
    predict: Callable[[Batch], Batch],
    place: Path,
) -> None:
    """Leave a reference at a place, unless the training wrote one; it only helps."""
    if (mlmodel.folder / BESIDE).exists():
        return
    try:
        example = examples.read(mlmodel, carried)
        rows = example.batch(schema, MOST_ROWS) if example else None
        if rows is None or rows.size < FEWEST_ROWS:
            return
        tally = _answered(rows, predict)
        if tally.rows >= FEWEST_ROWS:
            (place / FILE).write_bytes(msgspec.json.encode(tally.reference()))
    except OSError:
        raise
    except Exception as error:
        log.info("the example of %s shows nothing usual: %r", mlmodel.folder, error)


def _answered(rows: Batch, predict: Callable[[Batch], Batch]) -> Tally:
    """The rows and their answers, counted: twice as many at a time, as long as there is time."""
    tally, size, until = Tally(), 1, time.monotonic() + SECONDS
    while tally.rows < rows.size and time.monotonic() < until:
        some = rows.rows(tally.rows, tally.rows + size)
        tally.add(some.size, columns(some), columns(predict(some)), None)
        size = min(2 * size, CHUNK)
    return tally
