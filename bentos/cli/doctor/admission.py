"""A tiny model, all the way: made, registered, fetched, admitted, asked, and removed again."""

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.refusal import Refusal
from bentos.registry.client import CallFailed
from bentos.registry.runs import Runs
from bentos.version import Version

EXPERIMENT = "ascenso-doctor"  # it stays, with deleted runs
CLOSE = 1e-6
DOUBLE = '[{"type": "double", "name": "x"}]'
MLMODEL = {
    "flavors": {"sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"}},
    "signature": {"inputs": DOUBLE},
}


def tiny_model(ground: Ground) -> Found:
    """It answers as it did when it was made."""
    started = time.perf_counter()
    try:
        with _registered(ground.registry) as version:
            runs, answer = _admitted(ground, version)
    except Refusal as refusal:
        return failure(f"a tiny model was refused: {refusal}", "see docs/promotion.md")
    except CallFailed as error:
        mend = "set MLFLOW_TRACKING_USERNAME to an account that may register, such as a trainer"
        return warning(f"a tiny model could not be registered: {error}", mend)
    if abs(answer - 42) > CLOSE:
        return failure(f"a tiny model answers {answer}, not 42", "make test")
    seconds = time.perf_counter() - started
    return ok(f"a tiny model was registered, admitted ({runs}) and removed in {seconds:.1f} s")


def _admitted(ground: Ground, version: Version) -> tuple[str, float]:
    """How a version runs once it is admitted, and what it makes of 21."""
    import numpy as np

    # What opens models takes seconds to import, which no other command shall pay.
    from bentos.admission.cache import Artifacts
    from bentos.admission.office import Office
    from bentos.promotion.release_store import ReleaseStore
    from bentos.serving.budget import Budget
    from bentos.serving.release import Contract
    from bentos.tensors import Batch

    with tempfile.TemporaryDirectory() as folder, closing(Office()) as office:
        artifacts = Artifacts(Path(folder), ground.settings.cache)
        budget = Budget(ground.settings.open_bytes)
        store = ReleaseStore(ground.registry, artifacts, ground.settings, budget, office)
        release = store.admit(Contract(None, None, by_schema=True), version)
        (values,) = release.predict(Batch({"x": np.array([21.0])})).values()
    return release.runs, float(values[0])


@contextmanager
def _registered(registry: Runs) -> Iterator[Version]:
    """A version of a name of its own; nothing is left of it but a deleted run."""
    name = f"{EXPERIMENT}-{uuid.uuid4().hex[:12]}"
    with ExitStack() as undo:
        run = registry.create_run(registry.experiment(EXPERIMENT), name).info
        undo.callback(registry.delete_run, run.run_id)
        uri = f"{run.artifact_uri}/model"
        undo.callback(registry.remove, uri)
        for file, content in _files().items():
            registry.put(uri, file, content)
        registry.create_model(name)
        undo.callback(registry.delete_model, name)
        yield registry.create_version(name, uri, run.run_id)


def _files() -> dict[str, bytes]:
    """The model that doubles, as MLflow stores one."""
    import numpy as np
    from sklearn.linear_model import LinearRegression

    from bentos.process import skops_io

    X = np.array([[0.0], [1.0]])
    model = LinearRegression().fit(X, 2 * X[:, 0])
    return {"model.skops": skops_io().dumps(model), "MLmodel": msgspec.json.encode(MLMODEL)}


CHAINS: tuple[Chain, ...] = ((tiny_model,),)
