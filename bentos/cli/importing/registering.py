"""From a model and a table to a version that nobody has promoted yet."""

import os
import tempfile
from pathlib import Path

from bentos.cli.importing.brought import Brought, Tried
from training import tracking
from training.data import Dataset
from training.manifest import check

EXPERIMENT = "imported"


def tried(name: str, brought: Brought, dataset: Dataset) -> Tried:
    """Ask the model for the rows, and read it back from what is to be stored.

    Raises TrainingError where it answers otherwise then, and Refusal as an admission does.
    """
    found = brought.sample(dataset)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "model")
        brought.save(folder, found.samples)
        check(name, brought.load(folder), found.samples)
    return found


def register(
    name: str, source: str, brought: Brought, dataset: Dataset, found: Tried, registry: str
) -> str:
    """Make it the next version of a registered model; give its number. Raises RegistryError."""
    import mlflow

    os.environ["MLFLOW_TRACKING_URI"] = registry  # which training goes by
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # that is for --json
    with tracking.run(EXPERIMENT):
        tracking.log_dataset(dataset, len(dataset.table) - found.rows)
        mlflow.set_tags({"ascenso.data": "imported", "ascenso.imported": source})
        version = tracking.register(
            name,
            save=lambda path: brought.save(path, found.samples),
            samples=found.samples,
            libraries=brought.libraries,
            load=brought.load,
        )
    return str(version.version)
