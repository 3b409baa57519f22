"""A training that may begin: checked rows, their split, a recipe, and where the network starts."""

from dataclasses import dataclass

import msgspec
import torch

from training.errors import InputError
from training.itransformer.forecaster import Config, Forecaster
from training.itransformer.frames import Series, same_step
from training.itransformer.model import ITransformer
from training.itransformer.settings import FineTuning, Recipe
from training.itransformer.windows import Scaler, Split, sizes, split


@dataclass(frozen=True)
class Plan:
    """What `training.itransformer.train.carry_out` needs."""

    series: Series
    split: Split
    recipe: Recipe
    network: ITransformer

    def forecaster(self) -> Forecaster:
        """The network with what it needs to answer in the units of the series."""
        scaler = self.split.scaler
        config = Config(
            self.recipe.architecture(),
            self.series.columns,
            tuple(scaler.mean.tolist()),
            tuple(scaler.scale.tolist()),
            self.series.step,
        )
        return Forecaster(self.network, config)


def plan_training(series: Series, recipe: Recipe) -> Plan:
    """Plan a new network. Raises `InputError` for too few rows or a constant column."""
    parts = split(series, recipe, sizes(series, recipe))
    torch.manual_seed(recipe.seed)
    return Plan(series, parts, recipe, ITransformer(recipe.architecture()))


def plan_fine_tuning(
    series: Series, start: Forecaster, recipe: Recipe, tuning: FineTuning
) -> Plan:
    """Plan to go on from a trained network, with its own scaler and shape.

    Raises `InputError` for other columns, another step, or too few rows.
    """
    config = start.config
    if not same_step(series.step, config.step):
        raise InputError(
            f"{series.source} has a row every {series.step}; the model was trained on one "
            f"every {config.step}."
        )
    changes = msgspec.structs.asdict(config.architecture) | msgspec.structs.asdict(tuning)
    recipe = msgspec.structs.replace(recipe, **changes)
    ordered = series.ordered(config.columns)
    scaler = Scaler.of(config)
    torch.manual_seed(recipe.seed)
    return Plan(
        ordered, split(ordered, recipe, sizes(ordered, recipe), scaler), recipe, start.network
    )
