"""Readings as the recipe takes them, cleaned; and made ones, when there is no real file."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.contugas.model import Floats
from training.contugas.settings import Synthetic
from training.data import Dataset, numbers, synthetic_dataset
from training.errors import InputError

VARIABLES = ("Presion", "Temperatura", "Volumen")
CLIENT = "Cliente"
COLUMNS = ("Fecha", *VARIABLES, CLIENT)

log = logging.getLogger("training")


@dataclass(frozen=True)
class Readings:
    """`X` float64 (n, 3) in the order of VARIABLES; `client` (n,) indexes the sorted `clients`."""

    X: Floats
    client: np.ndarray[tuple[int], np.dtype[np.intp]]
    clients: tuple[str, ...]
    dropped: int

    def means(self) -> Floats:
        """Mean reading of each client: float64 (clients, 3)."""
        return np.stack([self.X[self.client == i].mean(axis=0) for i in range(len(self.clients))])


def clean(dataset: Dataset, least_clients: int) -> Readings:
    """Check the table and drop rows with a missing or infinite value.

    Raises `InputError` for a column that is no number, a client left without rows, or fewer
    than `least_clients` clients.
    """
    table = dataset.table
    X = np.column_stack([numbers(dataset, column) for column in VARIABLES])
    named = table[CLIENT].notna().to_numpy()
    clients = table[CLIENT].astype(str).to_numpy()
    kept = np.isfinite(X).all(axis=1) & named
    if lost := sorted(set(clients[named]) - set(clients[kept])):
        raise InputError(f"{dataset.source}: {CLIENT} {', '.join(lost)} has no complete rows.")
    names, client = np.unique(clients[kept].astype(str), return_inverse=True)
    if len(names) < least_clients:
        raise InputError(
            f"{dataset.source}: {CLIENT} holds {len(names)} clients; the clusters need at least "
            f"{least_clients}."
        )
    dropped = int((~kept).sum())
    if dropped:
        log.warning("Dropped %d of %d rows: a value is missing or infinite.", dropped, len(X))
    return Readings(X[kept], client, tuple(map(str, names)), dropped)


def synthetic(size: Synthetic) -> Dataset:
    """Make hourly readings of five kinds of client, with daily waves and one in 50 gone wrong."""
    rng = np.random.default_rng(size.seed)
    kinds = np.array([[1.3, 25.0, 90], [17.5, 28, 25], [6, 24, 240], [11, 20, 60], [3, 32, 420]])
    hour = np.arange(size.hours)
    day = np.sin(2 * np.pi * hour / 24)[:, None]
    frames = []
    for number in range(size.clients):
        usual = kinds[number % len(kinds)] * rng.normal(1.0, 0.03, 3)
        X = usual * (1 + 0.1 * day + rng.normal(0, [0.05, 0.05, 0.2], (size.hours, 3)))
        X[rng.random(size.hours) < 0.02] *= rng.choice([0.3, 1.8])
        frame = pd.DataFrame(X.clip(min=0), columns=VARIABLES)
        frame.insert(0, "Fecha", pd.Timestamp("2019-01-14") + pd.to_timedelta(hour, unit="h"))
        frames.append(frame.assign(Cliente=f"CLIENTE{number + 1}"))
    return synthetic_dataset("contugas", size.seed, pd.concat(frames, ignore_index=True))
