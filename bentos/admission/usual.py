"""What is usual for a version by its input example, where that has enough rows."""

import logging
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
CHUNK = 500  # rows that are asked at once

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
        tally = Tally()
        for start in range(0, rows.size, CHUNK):
            some = rows.rows(start, start + CHUNK)
            tally.add(some.size, columns(some), columns(predict(some)), None)
        (place / FILE).write_bytes(msgspec.json.encode(tally.reference()))
    except OSError:
        raise
    except Exception as error:
        log.info("the example of %s shows nothing usual: %r", mlmodel.folder, error)
