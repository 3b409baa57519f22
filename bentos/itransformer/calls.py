"""What clients send: rows of data, and what they want of them."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from bentos.serving.release import Release
from bentos.web.body import Decoder
from bentos.web.errors import HTTPError, Problem, UnprocessableBody
from training.errors import InputError
from training.itransformer.frames import Series, from_dataset, same_step
from training.itransformer.mending import Mended, mend_rows
from training.itransformer.names import registered_name
from training.itransformer.settings import Architecture, Rate, Recipe, Steps, Width

T = TypeVar("T", bound="Named")
Cell = str | int | float | bool | None
Rows = list[dict[str, Cell]]
NO_DATA = "Faltan los datos ('data') en el JSON"
NO_NUMBER = ("NaN", "Infinity", "-Infinity")  # as Python's json writes what JSON has not


class Named(Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that names a model."""

    model_name: str | None = None


class WithRows(Named, kw_only=True):
    """A call that brings rows, such as `{"date": "2024-01-01 00:00:00", "OT": 12.5}`.

    They are mended where it says so: rows that are out of order, and gaps.
    """

    data: Rows | None = None
    sort: bool = False
    fill: Literal["linear"] | None = None


class FineTune(WithRows, kw_only=True):
    """`/fine_tuning`."""

    promote: bool = False


class Train(FineTune, kw_only=True):
    """`/train`; what is left out is as in `configs/training.yaml`."""

    seq_len: Steps | UnsetType = UNSET
    pred_len: Steps | UnsetType = UNSET
    epochs: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    d_model: Width | UnsetType = UNSET
    n_heads: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET
    e_layers: Annotated[int, Meta(ge=1, le=16)] | UnsetType = UNSET
    d_ff: Width | UnsetType = UNSET
    dropout: Annotated[float, Meta(ge=0, le=0.9)] | UnsetType = UNSET
    batch_size: Annotated[int, Meta(ge=1, le=4096)] | UnsetType = UNSET
    learning_rate: Rate | UnsetType = UNSET

    def changes(self) -> dict[str, Any]:
        """What the client wants otherwise than usual."""
        asked = {name: getattr(self, name) for name in TUNABLE}
        return {name: value for name, value in asked.items() if value is not UNSET}


class Predict(WithRows, kw_only=True):
    """`/predict`; without `points` the whole forecast is given.

    With `interval`, such as 0.9, each value has a lower and an upper bound, between which the
    true one lies as often as that.
    """

    points: Annotated[int, Meta(ge=1)] | None = None
    interval: Annotated[float, Meta(gt=0, lt=1)] | None = None


TUNABLE = [name for name in Train.__struct_fields__ if name in Recipe.__struct_fields__]


class Calls:
    """Decodes bodies of one kind, with NaN where Python's json writes it: the checks name it."""

    def __init__(self, kind: type[T]) -> None:
        self._decode: Decoder[T] = Decoder(kind)

    def __call__(self, body: bytes) -> Any:
        """Raise HTTPError 400 or 422."""
        try:
            return self._decode(body)
        except UnprocessableBody as error:
            if not any(name.encode() in body for name in NO_NUMBER):
                raise
            try:
                loose = json.loads(body, parse_constant=str)
            except (ValueError, RecursionError):
                raise error from None
            return self._decode(msgspec.json.encode(loose))


def bad(error: InputError) -> HTTPError:
    """An error of the rows, as an answer."""
    return HTTPError(400, error.message)


def rows(call: WithRows) -> Rows:
    """The rows of a call. Raises HTTPError 400."""
    if not call.data:
        raise HTTPError(400, NO_DATA)
    return call.data


def name(call: Named) -> str:
    """The model that a call names. Raises HTTPError 400 for a bad name, 422 for none."""
    if call.model_name is None:
        raise UnprocessableBody(Problem(["body", "model_name"], "Field required", "missing"))
    check_name(call.model_name)
    return call.model_name


def check_name(model: str) -> None:
    """Raise HTTPError 400 for a name that no model may have."""
    try:
        registered_name(model)
    except InputError as error:
        raise bad(error) from None


@dataclass(frozen=True)
class Given:
    """The rows of a call, checked, and what was mended of them."""

    series: Series
    mended: Mended

    @property
    def parquet(self) -> bytes:
        """Them as a file."""
        return self.mended.dataset.table.to_parquet()

    @property
    def said(self) -> dict[str, Any]:
        """What the answer says of what was mended: nothing of what was not asked for."""
        said = {"sorted": self.mended.was_sorted, "filled": self.mended.filled}
        return {key: value for key, value in said.items() if value is not None}


def given(call: WithRows) -> Given:
    """The rows of a call. Raises HTTPError 400."""
    try:
        mended = mend_rows(rows(call), call.sort, call.fill is not None)
        return Given(from_dataset(mended.dataset), mended)
    except InputError as error:
        raise bad(error) from None


def opened(decode: Calls, body: bytes) -> tuple[Any, Given]:
    """A call with its rows, checked; the first fault is named."""
    call = decode(body)
    rows(call)
    name(call)
    return call, given(call)


def recipe(call: Train, usual: Recipe) -> Recipe:
    """How to train. Raises HTTPError 400 for numbers that do not go together."""
    try:
        return msgspec.convert(msgspec.structs.asdict(usual) | call.changes(), type=Recipe)
    except msgspec.ValidationError as error:
        raise HTTPError(400, str(error)) from None


def check_training(given: Series, wanted: Recipe) -> None:
    """Raise HTTPError 400 for rows that a new network cannot learn from."""
    from training.itransformer.windows import fit_scaler, sizes  # which bring torch

    try:
        fit_scaler(given, sizes(given, wanted)[0])
    except InputError as error:
        raise bad(error) from None


def check_fine_tuning(given: Series, release: Release) -> None:
    """Raise HTTPError 400 for rows that what serves cannot go on learning from."""
    from training.itransformer.windows import sizes

    metadata = release.metadata
    shape = Architecture(seq_len=metadata["seq_len"], pred_len=metadata["pred_len"])
    try:
        sizes(given.ordered(metadata["columns"]), shape)
        if not same_step(given.step, metadata["step"]):
            raise InputError(
                f"data has a row every {given.step}; the model was trained on one "
                f"every {metadata['step']}."
            )
    except InputError as error:
        raise bad(error) from None
