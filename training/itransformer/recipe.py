"""The training itself: epochs, early stopping, and the errors that tell how good it is."""

import logging
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.itransformer.model import MARKS, ITransformer
from training.itransformer.settings import Recipe
from training.itransformer.windows import Windows
from training.progress import track

TOKENS = 4096  # evaluated at a time


log = logging.getLogger("training")


class Errors(NamedTuple):
    """Means over all windows, steps and series, in standardised units."""

    mse: float
    mae: float


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1; losses are MSE."""

    number: int
    train_loss: float
    val_loss: float
    seconds: float

    def announce(self) -> None:
        """Log it."""
        losses = (self.train_loss, self.val_loss)
        log.info(
            "Epoch %d: train %.4f, validation %.4f (%.1f s)", self.number, *losses, self.seconds
        )


class Cancelled(Exception):
    """The training was asked to stop."""


def never() -> bool:
    """Let a training run to its end."""
    return False


def fit(
    network: ITransformer,
    train: Windows,
    validation: Windows,
    recipe: Recipe,
    report: Callable[[Epoch], None],
    stopped: Callable[[], bool] = never,
) -> list[Epoch]:
    """Train a network, and leave it in `eval` mode with the weights of its best epoch.

    `report` gets each epoch. Raises `Cancelled` at the first batch after `stopped` says so.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, fused=True)
    shuffles = torch.Generator().manual_seed(recipe.seed)
    epochs: list[Epoch] = []
    best = network.state_dict()
    for number in range(1, recipe.epochs + 1):
        started = time.perf_counter()
        order = torch.randperm(len(train), generator=shuffles)
        label = f"epoch {number} of {recipe.epochs}"
        train_loss = _epoch(network, train, order, recipe.batch_size, optimizer, stopped, label)
        val_loss = evaluate(network, validation).mse
        epochs.append(Epoch(number, train_loss, val_loss, time.perf_counter() - started))
        report(epochs[-1])
        lowest = min(epochs, key=lambda epoch: epoch.val_loss)
        if lowest.number == number:
            best = deepcopy(network.state_dict())
        if number - lowest.number >= recipe.patience:
            break
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * 0.5 ** (number - 1)
    network.load_state_dict(best)
    network.eval()
    return epochs


def _epoch(
    network: ITransformer,
    windows: Windows,
    order: Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    stopped: Callable[[], bool],
    label: str,
) -> float:
    """Learn from whole batches, of which there is at least one; give the mean loss."""
    network.train()
    batches = max(1, len(order) // batch_size)
    total = torch.zeros(())
    whole = order[: batches * batch_size].reshape(batches, -1)
    for starts in track(whole.unbind(), batches, label):
        if stopped():
            raise Cancelled
        inputs, targets = windows.take(starts)
        optimizer.zero_grad()
        loss = functional.mse_loss(network(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach()
    return float(total / batches)


def evaluate(network: ITransformer, windows: Windows) -> Errors:
    """Errors over all windows."""
    network.eval()
    return errors(windows, network)


def naive(windows: Windows) -> Errors:
    """Errors of a forecast that repeats the last value."""
    return errors(windows, lambda inputs: inputs[:, -1:, :-MARKS])


def errors(windows: Windows, forecast: Callable[[Tensor], Tensor]) -> Errors:
    """Errors of any forecast of inputs [B, seq_len, N + 4]."""
    squares = absolutes = values = 0.0
    with torch.inference_mode():
        for inputs, targets in batches(windows, torch.arange(len(windows))):
            difference = forecast(inputs) - targets
            squares += float(difference.square().sum())
            absolutes += float(difference.abs().sum())
            values += difference.numel()
    return Errors(squares / values, absolutes / values)


def batches(windows: Windows, starts: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and targets of the windows at `starts`, as many at a time as evaluate well."""
    size = max(1, TOKENS // windows.rows.shape[1])
    for first in range(0, len(starts), size):
        yield windows.take(starts[first : first + size])
