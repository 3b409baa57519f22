"""What `/predict` answers: the rows that follow, and how far off the truth may be."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.itransformer import calls
from bentos.itransformer.messages import Forecast
from bentos.serving.release import Release
from bentos.web.errors import HTTPError
from training.errors import InputError
from training.itransformer.bands import Recent, recent_ends
from training.itransformer.frames import Series

Floats: TypeAlias = NDArray[np.float64]
NO_BANDS = "was registered without the errors of its training, which an interval is made of"
TRAIN_AGAIN = "train or fine-tune it again and promote the new version, or leave interval out"


def windows(call: calls.Predict, given: Series, live: Release | None) -> list[Series]:
    """What is forecast for a call: what follows its rows, and what followed earlier ones of them.

    The latter tell how far off forecasts were of late; nobody asks for that without an interval.
    """
    if call.interval is None or live is None or live.bands is None:
        return [given]
    seq_len, pred_len = live.metadata["seq_len"], live.metadata["pred_len"]
    ends = recent_ends(len(given), seq_len, pred_len)
    return [given, *(given.part(end - seq_len, end) for end in ends)]


def answer(
    call: calls.Predict, given: calls.Given, release: Release, forecasts: Sequence[Floats]
) -> Forecast:
    """The answer to a call, of the forecasts (pred_len, columns) of its `windows`.

    Raises HTTPError 400.
    """
    forecast, *earlier = forecasts
    points = call.points or len(forecast)
    if points > len(forecast):
        raise HTTPError(400, f"points is {points}: {release} forecasts up to {len(forecast)}")
    said = Forecast(
        "success", calls.name(call), release.version.version,
        _rows(given.series, release, forecast[:points]), **given.said,
    )  # fmt: skip
    if call.interval is not None:
        recent = _recent(given.series, release, earlier)
        half = _half(call.interval, given.series, release, recent)
        said.interval, said.checked = call.interval, len(recent.windows) if recent else 0
        said.lower = _rows(given.series, release, (forecast - half)[:points])
        said.upper = _rows(given.series, release, (forecast + half)[:points])
    return said


def _half(level: float, given: Series, release: Release, recent: Recent | None) -> Floats:
    """How far to go from a forecast to either side. Raises HTTPError 400."""
    if release.bands is None:
        raise HTTPError(400, f"interval is {level:g}: {release} {NO_BANDS}: {TRAIN_AGAIN}")
    columns, seq_len = release.metadata["columns"], release.metadata["seq_len"]
    window = given.ordered(columns).values[-seq_len:]
    try:
        return release.bands.half(level, window, recent)
    except InputError as error:
        raise HTTPError(
            400, f"interval is {level:g}: {release}: {error.message}: ask for less, or train on "
            "more rows",
        ) from None  # fmt: skip


def _recent(given: Series, release: Release, forecasts: Sequence[Floats]) -> Recent | None:
    """Earlier windows of a call beside how far off their forecasts were."""
    if not forecasts:
        return None
    columns, seq_len = release.metadata["columns"], release.metadata["seq_len"]
    values, pred_len = given.ordered(columns).values, len(forecasts[0])
    ends = recent_ends(len(values), seq_len, pred_len)
    if len(ends) != len(forecasts):  # of a release that has taken over meanwhile
        return None
    truths = np.stack([values[end : end + pred_len] for end in ends])
    return Recent(
        np.stack([values[end - seq_len : end] for end in ends]),
        np.abs(np.stack(forecasts) - truths),
    )


def _rows(given: Series, release: Release, values: Floats) -> list[dict[str, str | float]]:
    """Values with the dates that they are of. Raises HTTPError 400."""
    columns: Sequence[str] = release.metadata["columns"]
    if not (finite := np.isfinite(values).all(axis=0)).all():
        odd = columns[int(finite.argmin())]
        raise HTTPError(400, f"data: column {odd} is too far out: the forecast is no number")
    try:
        dates = [str(date) for date in given.next_dates(len(values))]
    except InputError as error:
        raise calls.bad(error) from None
    return [
        {"date": date, **dict(zip(columns, row, strict=True))}
        for date, row in zip(dates, values.tolist(), strict=True)
    ]
