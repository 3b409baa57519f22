"""What may be tuned in a cripto training run."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, le=1)]
Seed = Annotated[int, Meta(ge=0)]


class Synthetic(Struct, frozen=True, forbid_unknown_fields=True):
    """Length and seed of the made coins."""

    days: Annotated[int, Meta(ge=60)]
    seed: Seed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The recipe's numbers."""

    experiment: str
    random_state: Seed
    folds: Annotated[int, Meta(ge=2)]
    tree_features: Share
    forest_trees: Count
    forest_depth: Count
    forest_leaf: Count
    boosting_trees: Count
    boosting_depth: Count
    boosting_rate: Share
    boosting_subsample: Share
    logistic_c: Annotated[float, Meta(gt=0)]
    synthetic: Synthetic
