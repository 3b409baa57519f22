"""A bound on what Prometheus must keep: beyond so many models, the rest count as `other`."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from filelock import FileLock
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from bentos.files import written

OTHER = "other"
NAMES = "models.named"  # a file beside the workers' numbers: all of them name the same models
OF_COLUMNS = "ascenso_drift_"  # which cannot be added up over models


class Bounded(Collector):
    """The metrics of a registry, of `most` models by their names: those that were there first."""

    def __init__(self, registry: CollectorRegistry, most: int, folder: Path | None) -> None:
        self._registry = registry
        self._most = most
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """What Prometheus asks for."""
        families = list(self._registry.collect())
        models = dict.fromkeys(
            sample.labels["model"]
            for family in families
            for sample in family.samples
            if "model" in sample.labels
        )
        beyond = models.keys() - self._named(list(models))
        for family in families:
            if beyond:
                family.samples = list(_folded(family.samples, beyond))
            yield family

    def _named(self, models: list[str]) -> set[str]:
        """Those with names of their own. Once named, always named: a counter may not go back."""
        if len(models) <= self._most or self._folder is None:
            return {*models[: self._most]}
        path = self._folder / NAMES
        with FileLock(f"{path}.lock"):
            kept: list[str] = msgspec.json.decode(path.read_bytes()) if path.exists() else []
            known = list(dict.fromkeys([*kept, *models]))[: self._most]
            if known != kept:
                with written(path) as file:
                    file.write(msgspec.json.encode(known))
        return set(known)


def _folded(samples: list[Sample], beyond: set[str]) -> Iterator[Sample]:
    """Samples of models beyond the bound, added up."""
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in samples:
        labels = _told(sample.labels, beyond)
        if labels is sample.labels:
            yield sample
        elif not sample.name.startswith(OF_COLUMNS):
            key = sample.name, tuple(labels.items())
            sums[key] = sums.get(key, 0.0) + sample.value
    for (name, pairs), value in sums.items():
        yield Sample(name, dict(pairs), value)


def _told(labels: dict[str, str], beyond: set[str]) -> dict[str, str]:
    if labels.get("model") in beyond:
        versions = {"version": OTHER} if "version" in labels else {}
        return {**labels, "model": OTHER, **versions}
    name, slash, door = labels.get("route", "").partition("/")
    if name in beyond and labels.get("service") == "models":
        return {**labels, "route": f"{OTHER}{slash}{door}"}
    return labels
