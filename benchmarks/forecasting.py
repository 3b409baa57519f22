"""Seconds an epoch of our training beside a plain one: `python -m benchmarks.forecasting FILE`.

FILE is ETTh1.csv. Both start from the same weights and train on one thread, in turns; an epoch is
its training and its validation, in seconds of the processor. Without dropout both do the same
arithmetic on batches of the same windows, so their losses must agree.
"""

import statistics
import sys
import time
from typing import NamedTuple

import msgspec
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import plain
from training.itransformer.benchmark import paper_recipe, usual_split
from training.itransformer.model import ITransformer
from training.itransformer.original import to_original
from training.itransformer.recipe import fit
from training.itransformer.settings import Recipe
from training.itransformer.windows import Split

ROUNDS = 3


class Run(NamedTuple):
    """One epoch, in seconds of the processor."""

    seconds: float
    train_loss: float
    val_loss: float


def main(data: str) -> None:
    """Measure both, and print a table."""
    torch.set_num_threads(1)
    table = Table("dropout", "training", "seconds an epoch", "to plain", "train loss", "val loss")
    for dropout in (0.1, 0.0):
        recipe = msgspec.structs.replace(paper_recipe(96, seed=2023), epochs=1, dropout=dropout)
        parts = usual_split(data, recipe)
        rounds = [(_plain(recipe, parts), _ours(recipe, parts)) for _ in range(ROUNDS)]
        base = statistics.median(peer.seconds for peer, _ in rounds)
        for name, runs in zip(("plain", "ours"), zip(*rounds, strict=True), strict=True):
            seconds = statistics.median(run.seconds for run in runs)
            cells = (f"{dropout}", name, f"{seconds:.1f}", f"{base / seconds:.2f}")
            table.add_row(*cells, f"{runs[0].train_loss:.4f}", f"{runs[0].val_loss:.4f}")
    Console().print(table)


def _ours(recipe: Recipe, parts: Split) -> Run:
    network = _network(recipe)
    started = time.process_time()
    (epoch,) = fit(network, parts.train, parts.validation, recipe, lambda epoch: None)
    return Run(time.process_time() - started, epoch.train_loss, epoch.val_loss)


def _plain(recipe: Recipe, parts: Split) -> Run:
    network = plain.Plain(recipe)
    network.load_state_dict(to_original(_network(recipe).state_dict()))
    started = time.process_time()
    train_loss = plain.train_epoch(network, parts.train, recipe)
    val_loss = plain.validate(network, parts.validation, recipe)
    return Run(time.process_time() - started, train_loss, val_loss)


def _network(recipe: Recipe) -> ITransformer:
    torch.manual_seed(recipe.seed)
    return ITransformer(recipe.architecture())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Say where ETTh1.csv is: python -m benchmarks.forecasting FILE")
    main(sys.argv[1])
