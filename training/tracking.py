"""The one way into the registry: a run, its model, samples and digests, and a version."""

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported

import httpx
import msgspec
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

import mlflow
from mlflow import MlflowClient
from training.data import Dataset
from training.errors import RegistryError
from training.manifest import Predict, Samples, check, versions, write_manifest
from training.usual import Usual

log = logging.getLogger("training")

DIGEST_TAG = "ascenso.digest"
CREDENTIALS = re.compile(r"\A(?P<scheme>[^:/@]*://)?(?P<user>[^:]*?)(?::(?P<password>.*))?@", re.S)


def connect(experiment: str) -> str:
    """Point MLflow at the server and experiment; give the server's address.

    The address is `MLFLOW_TRACKING_URI`, else this machine's port `ASCENSO_MLFLOW_PORT`.
    Raises `RegistryError` at once when the server does not answer.
    """
    local = f"http://127.0.0.1:{os.environ.get('ASCENSO_MLFLOW_PORT', '5000')}"
    uri = sign_in((os.environ.get("MLFLOW_TRACKING_URI") or local).rstrip("/"))
    try:
        httpx.get(f"{uri}/health", timeout=10).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise RegistryError(
            f"MLflow at {uri} does not answer ({error}). "
            "Start it with `make up`, or set MLFLOW_TRACKING_URI."
        ) from error
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(experiment)
    return uri


def sign_in(address: str) -> str:
    """Hand the user name and password of an address to MLflow; give the address without them.

    MLflow writes its address into logs and errors.
    """
    found = CREDENTIALS.match(address)
    if found is None:
        return address
    if not os.environ.get("MLFLOW_TRACKING_USERNAME"):
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(found["user"])
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(found["password"] or "")
    return (found["scheme"] or "") + address[found.end() :]


@contextmanager
def run(experiment: str) -> Iterator[mlflow.ActiveRun]:
    """Connect and open a run; an error inside marks it failed.

    Raises `RegistryError` for what MLflow refuses, or when the server goes away.
    """
    try:
        connect(experiment)
        with mlflow.start_run() as active:
            yield active
    except MlflowException as error:
        raise RegistryError(f"MLflow: {error}") from error


def log_dataset(dataset: Dataset, dropped: int) -> None:
    """Log which data the active run was given, and how many of its rows were dropped."""
    mlflow.set_tag("ascenso.data", dataset.kind)
    mlflow.log_params(
        {
            "data.source": dataset.source,
            "data.sha256": dataset.sha256,
            "data.rows": len(dataset.table),
            "data.rows_dropped": dropped,
        }
    )
    source = CodeDatasetSource({"source": dataset.source, "sha256": dataset.sha256})
    data = MetaDataset(source, dataset.name, dataset.sha256[:36])  # type: ignore[abstract]
    mlflow.log_input(data)


def log_settings(settings: msgspec.Struct) -> None:
    """Log a family's settings as params, without those of made data: its source tells them."""
    params = msgspec.structs.asdict(settings)
    mlflow.log_params({k: v for k, v in params.items() if not isinstance(v, msgspec.Struct)})


def requirements(libraries: Sequence[str]) -> list[str]:
    """Pin the installed libraries, for `pip_requirements`: guessing them costs 10 s."""
    return [f"{name}=={version}" for name, version in versions(libraries).items()]


def register(
    name: str,
    save: Callable[[Path], None],
    samples: Samples,
    libraries: Sequence[str],
    load: Callable[[Path], Predict] | None = None,
    usual: Usual | None = None,
) -> ModelVersion:
    """Store a model under the active run and make it a new version of the model `name`.

    `save` is a flavor's `save_model` for a path that does not exist yet; `load` reads that
    folder back, without pickle, as a function of the sample inputs. `libraries` are those that
    matter for reading it back, by package name. `usual` is what services compare their calls with.
    Raises `TrainingError` when the stored model does not reproduce its samples, and `InputError`
    for a library that is not installed.
    """
    active = mlflow.active_run()
    if active is None:
        raise RuntimeError(f"register({name!r}) was called outside `with tracking.run(...)`")
    versions(libraries)  # before anything is stored
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "model")
        save(folder)
        if load is not None:
            check(name, load(folder), samples)
        if usual is not None:
            usual.write(folder)
        version = upload(name, folder, samples, libraries, active)
    announce(version)
    return version


def upload(
    name: str, folder: Path, samples: Samples, libraries: Sequence[str], active: mlflow.ActiveRun
) -> ModelVersion:
    """Upload the folder as a logged model of the run, and register that."""
    client = MlflowClient()
    model = client.create_logged_model(
        active.info.experiment_id,
        name=name,
        source_run_id=active.info.run_id,
        params=client.get_run(active.info.run_id).data.params,
    )
    try:
        link(folder / "MLmodel", model.model_id, active.info.run_id)
        digest = write_manifest(folder, samples, libraries)
        client.log_model_artifacts(model.model_id, str(folder))
        # For versions that are registered from it again, which get no tags of their own.
        client.set_logged_model_tags(model.model_id, {DIGEST_TAG: f"sha256:{digest}"})
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(active.info.run_id, [LoggedModelOutput(model.model_id, step=0)])
    share_metrics(active.info.run_id, model.model_id)
    return create_version(name, model, f"sha256:{digest}")


def create_version(name: str, model: LoggedModel, digest: str) -> ModelVersion:
    """Make a logged model the next version of `name`; digest tag and all in one call."""
    client = MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(
        name,
        source=f"models:/{model.model_id}",
        run_id=model.source_run_id,
        tags={DIGEST_TAG: digest},
        await_creation_for=0,
        model_id=model.model_id,
    )


def share_metrics(run_id: str, model_id: str) -> None:
    """Show the run's last metrics on its model too, as MLflow's `log_model` does."""
    client = MlflowClient()
    last = [
        client.get_metric_history(run_id, key)[-1] for key in client.get_run(run_id).data.metrics
    ]
    client.log_batch(
        run_id,
        [Metric(m.key, m.value, m.timestamp, m.step, model_id=model_id) for m in last],
    )


def link(path: Path, model_id: str, run_id: str) -> None:
    """Write into an MLmodel file where it came from, as MLflow's `log_model` does."""
    description = Model.load(path)
    description.model_id = description.model_uuid = model_id
    description.run_id = run_id
    description.save(path)


def promote(version: ModelVersion) -> None:
    """Let the channel that services follow point to a version, by the command that people use.

    Raises `RegistryError` when it cannot.
    """
    words = ["promote", version.name, str(version.version), "--no-wait"]
    command = [sys.executable, "-m", "bentos.cli", *words, "--registry", mlflow.get_tracking_uri()]
    asked = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - it is ours
    if asked.returncode:
        why = asked.stderr.strip()
        raise RegistryError(f"{version.name}/{version.version} is not promoted: {why}")
    log.info("%s", asked.stdout.strip())


def announce(version: ModelVersion) -> None:
    """Say where the new version is, and how to promote it."""
    uri = mlflow.get_tracking_uri()
    log.info("Registered %s version %s:", version.name, version.version)
    log.info("  %s/#/models/%s/versions/%s", uri, version.name, version.version)
    log.info(
        "Promote it there, or with: ascenso promote %s %s",
        version.name,
        version.version,
    )
