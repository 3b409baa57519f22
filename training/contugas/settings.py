"""What may be tuned in a contugas training run."""

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]
Percentile = Annotated[float, Meta(ge=0, le=100)]
Contamination = Annotated[float, Meta(gt=0, le=0.5)]
Seed = Annotated[int, Meta(ge=0)]


class Synthetic(Struct, frozen=True, forbid_unknown_fields=True):
    """Size and seed of the made table."""

    clients: Count
    hours: Count
    seed: Seed


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The recipe's numbers."""

    experiment: str
    random_state: Seed
    clusters: Annotated[int, Meta(ge=2, le=32)]
    kmeans_inits: Count
    percentiles: tuple[Percentile, Percentile]
    contamination: tuple[Contamination, Contamination]
    thresholds: tuple[float, float, Count]
    synthetic: Synthetic

    def __post_init__(self) -> None:
        for name in ("percentiles", "contamination", "thresholds"):
            low, high = getattr(self, name)[:2]
            if low >= high:
                raise ValueError(f"`{name}` goes from {low} to {high}: the first must be lower")
