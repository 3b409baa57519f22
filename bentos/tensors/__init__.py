"""Named columns and what is known of them: what goes into a model, and what comes out."""

from bentos.tensors.batch import Batch
from bentos.tensors.errors import BadInput, BadSchema, Mismatch
from bentos.tensors.fitting import fit
from bentos.tensors.schema import Column, Dtype, Param, Schema, Source

__all__ = [
    "BadInput",
    "BadSchema",
    "Batch",
    "Column",
    "Dtype",
    "Mismatch",
    "Param",
    "Schema",
    "Source",
    "fit",
]
