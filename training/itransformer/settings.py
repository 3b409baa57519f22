"""What may be tuned in a forecaster's training."""

from typing import Annotated

from msgspec import Meta, Struct

Steps = Annotated[int, Meta(ge=1, le=4096)]
Width = Annotated[int, Meta(ge=1, le=4096)]
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0, le=1)]


class Architecture(Struct, frozen=True, kw_only=True):
    """What fixes the shapes of the weights; `seq_len` and `pred_len` are steps in and out."""

    seq_len: Steps = 96
    pred_len: Steps = 24
    d_model: Width = 128
    n_heads: Annotated[int, Meta(ge=1, le=64)] = 8
    e_layers: Annotated[int, Meta(ge=1, le=16)] = 2
    d_ff: Width = 128
    dropout: Annotated[float, Meta(ge=0, le=0.9)] = 0.1

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads:
            raise ValueError(
                f"`d_model` is {self.d_model}: it must be a multiple of `n_heads` {self.n_heads}"
            )


class Recipe(Architecture, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network's shape, and how it is trained; what a client may send with `/train`."""

    epochs: Annotated[int, Meta(ge=1, le=1000)] = 10
    batch_size: Annotated[int, Meta(ge=1, le=4096)] = 32
    learning_rate: Rate = 1e-4
    patience: Count = 3
    seed: Seed = 2023

    def architecture(self) -> Architecture:
        """The network's shape alone."""
        return Architecture(
            **{name: getattr(self, name) for name in Architecture.__struct_fields__}
        )


class FineTuning(Struct, frozen=True, forbid_unknown_fields=True):
    """How a trained network goes on learning."""

    epochs: Count
    batch_size: Count
    learning_rate: Rate


class Synthetic(Struct, frozen=True, forbid_unknown_fields=True):
    """Length and seed of the made series."""

    rows: Annotated[int, Meta(ge=200)]
    seed: Seed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where runs go, what they take of the machine, and their usual numbers."""

    experiment: str
    threads: Count
    niceness: Annotated[int, Meta(ge=0, le=19)]
    recipe: Recipe
    fine_tuning: FineTuning
    synthetic: Synthetic
