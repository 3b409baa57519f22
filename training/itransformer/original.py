"""Weights under the names of the paper's own code, https://github.com/thuml/iTransformer.

Ours differ in that keys and values are one projection, and what was a convolution of width 1 is
a linear map.
"""

import re
from collections.abc import Mapping

import msgspec
import torch
from torch import Tensor

from training.errors import InputError
from training.itransformer.settings import Architecture

ENDS = {"embed": "enc_embedding.value_embedding", "norm": "encoder.norm", "head": "projector"}
PARTS = {
    "attention.query": "attention.query_projection",
    "attention.out": "attention.out_projection",
    "widen": "conv1",
    "narrow": "conv2",
    "norm1": "norm1",
    "norm2": "norm2",
}
KEY, VALUE = "attention.key_projection", "attention.value_projection"
KINDS = ("weight", "bias")
CONVOLUTION = re.compile(r"conv\d\.weight$")


def from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the paper's weights to ours, as float32.

    Raises `InputError` that names a weight which is missing, or one too many.
    """
    # The authors' later library calls the head `projection`.
    left = {re.sub(r"^projection\.", "projector.", name): value for name, value in state.items()}
    layers = len({name.split(".")[2] for name in left if name.startswith("encoder.attn_layers.")})
    ours: dict[str, Tensor] = {}
    try:
        for name, theirs in pairs(layers):
            value = left.pop(theirs)
            ours[name] = value.squeeze(-1) if CONVOLUTION.search(theirs) else value
        for i in range(layers):
            for kind in KINDS:
                both = [
                    left.pop(f"encoder.attn_layers.{i}.{name}.{kind}") for name in (KEY, VALUE)
                ]
                ours[f"layers.{i}.attention.key_value.{kind}"] = torch.cat(both)
    except KeyError as error:
        raise InputError(f"The weights lack {error}: they are of no iTransformer.") from error
    if left:
        raise InputError(f"The weights hold {min(left)!r}, which an iTransformer does not have.")
    return {name: value.float().contiguous() for name, value in ours.items()}


def to_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our weights to the paper's."""
    layers = count(state)
    theirs = {
        new: state[name][..., None] if CONVOLUTION.search(new) else state[name]
        for name, new in pairs(layers)
    }
    for i in range(layers):
        for kind in KINDS:
            both = state[f"layers.{i}.attention.key_value.{kind}"].chunk(2)
            for name, half in zip((KEY, VALUE), both, strict=True):
                theirs[f"encoder.attn_layers.{i}.{name}.{kind}"] = half
    return theirs


def architecture(state: Mapping[str, Tensor], n_heads: int, dropout: float = 0.1) -> Architecture:
    """Read the shape from our weights, which tell all but the heads and the dropout.

    Raises `InputError` when no such network can be.
    """
    try:
        d_model, seq_len = state["embed.weight"].shape
        sizes = {"seq_len": seq_len, "d_model": d_model, "pred_len": len(state["head.weight"])}
        sizes |= {"e_layers": count(state), "d_ff": len(state["layers.0.widen.weight"])}
        return msgspec.convert({**sizes, "n_heads": n_heads, "dropout": dropout}, Architecture)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The weights tell no architecture: {error}.") from error


def count(state: Mapping[str, Tensor]) -> int:
    """Count the layers of our weights."""
    return len({name.split(".")[1] for name in state if name.startswith("layers.")})


def pairs(layers: int) -> list[tuple[str, str]]:
    """Our name and theirs of each weight that is the same but for its name."""
    modules = list(ENDS.items())
    for i in range(layers):
        modules += [(f"layers.{i}.{a}", f"encoder.attn_layers.{i}.{b}") for a, b in PARTS.items()]
    return [(f"{a}.{kind}", f"{b}.{kind}") for a, b in modules for kind in KINDS]
