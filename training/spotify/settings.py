"""What may be tuned in a spotify training run."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]
Part = Annotated[float, Meta(gt=0, lt=1)]
Rate = Annotated[float, Meta(gt=0, le=1)]
Seed = Annotated[int, Meta(ge=0)]


class Synthetic(Struct, frozen=True, forbid_unknown_fields=True):
    """Size and seed of the made table."""

    songs: Annotated[int, Meta(ge=100)]
    seed: Seed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The recipe's numbers; those of CatBoost under its own names."""

    experiment: str
    random_state: Seed
    test_part: Part
    validation_part: Part
    iterations: Count
    learning_rate: Rate
    depth: Annotated[int, Meta(ge=1, le=16)]
    l2_leaf_reg: Annotated[float, Meta(ge=0)]
    border_count: Annotated[int, Meta(ge=1, le=65535)]
    early_stopping_rounds: Count
    synthetic: Synthetic
