"""The schema of a version: by its signature, else its input example, else the model itself."""

from collections.abc import Iterable

import msgspec

from bentos.flavors import examples
from bentos.flavors.carried import Carried
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal
from bentos.tensors import BadSchema, Column, Param, Schema
from bentos.tensors.schema import PREDICTION
from bentos.tensors.signature import read

# What MLflow hands on to XGBoost, of the params of a signature; to no other library any.
HEEDED = frozenset({
    "approx_contribs", "base_margin", "iteration_range", "output_margin", "pred_contribs",
    "pred_interactions", "pred_leaf", "strict_shape", "training", "validate_features",
})  # fmt: skip
MEND = (
    "say which columns it takes, and promote it again:\n"
    "    from mlflow.models import infer_signature, set_signature\n"
    "    set_signature(MODEL_URI, infer_signature(inputs, outputs))"
)


def schema_of(mlmodel: MLmodel, carried: Carried | None) -> Schema:
    """What goes in and what comes out. Raises Refusal where nobody says."""
    try:
        found = read(mlmodel.content.get("signature"))
    except BadSchema as error:
        raise Refusal("signature", str(error)) from error
    signed = found
    if found is None or _is_anything(found):
        found = _without_signature(mlmodel, carried) or found
    if found is None:
        raise Refusal(
            "schema", f"neither a signature nor an input example nor the model itself can {MEND}"
        )
    outputs = (signed and signed.outputs) or (carried.outputs if carried else ())
    params = (signed and signed.params) or ()
    if "xgboost" in mlmodel.flavors:
        params = tuple(map(_fixed, params))
    found = msgspec.structs.replace(found, outputs=_named(outputs), params=params)
    return found if carried is None else _with_model(found, carried)


def _fixed(param: Param) -> Param:
    """A param that changes the answers keeps its default, with which they were checked."""
    return msgspec.structs.replace(param, fixed=param.name in HEEDED)


def _without_signature(mlmodel: MLmodel, carried: Carried | None) -> Schema | None:
    example = examples.read(mlmodel, carried)
    if example and (carried is None or example.suits(carried)):
        return example.schema()
    return carried.schema() if carried else None


def _is_anything(schema: Schema) -> bool:
    """Whether the signature is what MLflow writes where it could infer none: one `any`."""
    single = schema.single
    return single is not None and (single.spec or {}).get("type") == "any"


def nullable(schema: Schema, names: Iterable[str]) -> Schema:
    """The schema, in which these columns may lack values."""
    wanted = set(names)
    inputs = tuple(
        msgspec.structs.replace(column, nullable=column.nullable or column.name in wanted)
        for column in schema.inputs
    )
    return msgspec.structs.replace(schema, inputs=inputs)


def _named(outputs: tuple[Column, ...]) -> tuple[Column, ...]:
    """A single unnamed output is called as an answer without a schema is."""
    if len(outputs) == 1 and not outputs[0].name:
        return (msgspec.structs.replace(outputs[0], name=PREDICTION),)
    return outputs


def _with_model(schema: Schema, carried: Carried) -> Schema:
    """Add what the model knows better: widths, dtypes of its own, and categories."""
    single = schema.single
    if single is not None and single.shape and carried.form == "columns":
        return msgspec.structs.replace(schema, inputs=(_tensor(schema, single, carried),))
    inputs = tuple(_column(column, at, carried) for at, column in enumerate(schema.inputs))
    return msgspec.structs.replace(schema, inputs=inputs)


def _tensor(schema: Schema, single: Column, carried: Carried) -> Column:
    width = len(carried.columns)
    if carried.own and width == 1:
        own = carried.columns[0]
        guessed = schema.source != "signature" and len(own.shape) == len(single.shape)
        return msgspec.structs.replace(
            single,
            dtype=own.dtype if guessed else single.dtype,
            shape=own.shape if guessed else single.shape,
        )
    shape = (width,) if single.shape == (-1,) else single.shape
    whole = schema.source == "example" and single.dtype in ("int64", "bool")
    return msgspec.structs.replace(single, shape=shape, dtype="float64" if whole else single.dtype)


def _column(column: Column, at: int, carried: Carried) -> Column:
    known = carried.of(column.name, at)
    if known is None or column.shape:
        return column
    dtype = column.dtype
    if carried.own and known.shape == ():
        dtype = known.dtype if column.dtype in ("int64", "float64") else dtype
    if not known.categories or known.dtype != dtype:
        return msgspec.structs.replace(column, dtype=dtype)
    return msgspec.structs.replace(column, dtype=dtype, categories=known.categories)
