"""What may be tuned in a keras_api training run."""

from typing import Annotated

from msgspec import Meta, Struct

Part = Annotated[float, Meta(gt=0, lt=1)]
Seed = Annotated[int, Meta(ge=0)]
EPOCHS = (1, 500)
BATCH = (1, 256)


class Synthetic(Struct, frozen=True, forbid_unknown_fields=True):
    """Size and seed of the made table."""

    rows: Annotated[int, Meta(ge=100)]
    seed: Seed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The recipe's numbers."""

    experiment: str
    random_state: Seed
    epochs: Annotated[int, Meta(ge=EPOCHS[0], le=EPOCHS[1])]
    batch: Annotated[int, Meta(ge=BATCH[0], le=BATCH[1])]
    learning_rate: Annotated[float, Meta(gt=0, le=1)]
    test_part: Part
    validation_part: Part
    synthetic: Synthetic
