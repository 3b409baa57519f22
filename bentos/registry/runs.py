"""MLflow's runs and artifacts over its REST API, as far as jobs need them.

Format: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from bentos.registry.client import NotInRegistry, Registry, RegistryUnavailable
from bentos.version import Tag, Version

Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
RUN_ID = re.compile(r"[0-9a-f]{32}")
MOST = 1000  # runs in one answer


class Metric(msgspec.Struct, frozen=True):
    """The latest value of a metric; MLflow writes NaN as text."""

    key: str
    value: float | str
    step: int = 0


class Info(msgspec.Struct, frozen=True):
    """What MLflow itself knows of a run. `start_time` is in milliseconds since 1970, UTC."""

    run_id: str
    status: Status
    artifact_uri: str = ""
    start_time: int = 0
    run_name: str = ""


class Data(msgspec.Struct, frozen=True):
    """What was logged under a run."""

    metrics: tuple[Metric, ...] = ()
    params: tuple[Tag, ...] = ()
    tags: tuple[Tag, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """A run as it is now."""

    info: Info
    data: Data

    def tag(self, key: str) -> str:
        """The value of a tag, or an empty string."""
        return next((tag.value for tag in self.data.tags if tag.key == key), "")

    def param(self, key: str) -> str:
        """The value of a param, or an empty string."""
        return next((param.value for param in self.data.params if param.key == key), "")

    def metric(self, key: str) -> Metric | None:
        """The latest value of a metric."""
        return next((metric for metric in self.data.metrics if metric.key == key), None)


class _OneRun(msgspec.Struct):
    run: Run


class _Found(msgspec.Struct):
    runs: list[Run] = []


class _Experiment(msgspec.Struct):
    experiment_id: str


class _OneExperiment(msgspec.Struct):
    experiment: _Experiment


class _OneVersion(msgspec.Struct):
    model_version: Version


class _File(msgspec.Struct):
    path: str
    is_dir: bool
    file_size: int = 0


class _Listing(msgspec.Struct):
    files: list[_File] = []


class Runs(Registry):
    """The registry's server, asked for runs. Raises what `Registry` raises."""

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if missing."""
        path = "mlflow/experiments/get-by-name"
        try:
            found = self._call("GET", path, _OneExperiment, {"experiment_name": name})
        except NotInRegistry:
            body = {"name": name}
            return self._call(
                "POST", "mlflow/experiments/create", _Experiment, body=body
            ).experiment_id
        return found.experiment.experiment_id

    def create_run(self, experiment_id: str, name: str) -> Run:
        """A new run; MLflow calls it RUNNING."""
        now = int(time.time() * 1000)
        body = {"experiment_id": experiment_id, "run_name": name, "start_time": now}
        return self._call("POST", "mlflow/runs/create", _OneRun, body=body).run

    def run(self, run_id: str) -> Run:
        """A run by its id."""
        if not RUN_ID.fullmatch(run_id):
            raise NotInRegistry(f"{run_id!r} is no run's id")
        return self._call("GET", "mlflow/runs/get", _OneRun, {"run_id": run_id}).run

    def find_runs(self, experiment_id: str, condition: str, order: str = "ASC") -> list[Run]:
        """The runs of an experiment that a filter lets through, by their start."""
        body = {
            "experiment_ids": [experiment_id],
            "filter": condition,
            "max_results": MOST,
            "order_by": [f"attributes.start_time {order}"],
        }
        return self._call("POST", "mlflow/runs/search", _Found, body=body).runs

    def set_status(self, run_id: str, status: Status) -> None:
        """Let a run be in a state; one that ends has its time noted."""
        body: dict[str, Any] = {"run_id": run_id, "status": status}
        if status not in ("RUNNING", "SCHEDULED"):
            body["end_time"] = int(time.time() * 1000)
        self._call("POST", "mlflow/runs/update", dict[str, Any], body=body)

    def set_run_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Write tags on a run, all or none."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        body = {"run_id": run_id, "tags": listed}
        self._call("POST", "mlflow/runs/log-batch", dict[str, Any], body=body)

    def delete_run(self, run_id: str) -> None:
        """Put a run where MLflow keeps deleted ones."""
        self._call("POST", "mlflow/runs/delete", dict[str, Any], body={"run_id": run_id})

    def create_model(self, name: str) -> None:
        """A new registered model, without versions."""
        self._call("POST", "mlflow/registered-models/create", dict[str, Any], body={"name": name})

    def create_version(self, name: str, source: str, run_id: str) -> Version:
        """A new version of a registered model, of the files below an artifact URI."""
        body = {"name": name, "source": source, "run_id": run_id}
        path = "mlflow/model-versions/create"
        return self._call("POST", path, _OneVersion, body=body).model_version

    def delete_model(self, name: str) -> None:
        """Remove a registered model with all its versions."""
        body = {"name": name}
        self._call("DELETE", "mlflow/registered-models/delete", dict[str, Any], body=body)

    def delete_logged_model(self, model_id: str) -> None:
        """Put what a version was made of where MLflow keeps deleted ones."""
        self._call("DELETE", f"mlflow/logged-models/{quote(model_id, safe='')}", dict[str, Any])

    def put(self, uri: str, name: str, content: bytes) -> None:
        """Store a file below an artifact URI."""
        self._send("PUT", f"{_path(uri)}/{name}", content)

    def remove(self, uri: str) -> None:
        """Remove all files below an artifact URI."""
        self._send("DELETE", _path(uri))

    def sizes(self, uri: str) -> dict[str, int]:
        """The files below an artifact URI, as relative POSIX paths, with their bytes."""
        return dict(self._walk(_path(uri), PurePosixPath()))

    def _walk(self, folder: str, below: PurePosixPath) -> Iterator[tuple[str, int]]:
        listing = self._call("GET", "mlflow-artifacts/artifacts", _Listing, {"path": folder})
        for file in listing.files:
            name = PurePosixPath(file.path).name
            if file.is_dir:
                yield from self._walk(f"{folder}/{name}", below / name)
            else:
                yield str(below / name), file.file_size

    def _send(self, method: str, path: str, content: bytes | None = None) -> None:
        try:
            answer = self.http.request(
                method, f"mlflow-artifacts/artifacts/{quote(path)}", content=content
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"MLflow at {self.uri} stores no files: {error}") from error


def _path(uri: str) -> str:
    """Where below the server's artifacts a URI points to."""
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts":
        raise RegistryUnavailable(
            f"the artifacts lie at {uri!r}: start the MLflow server with --serve-artifacts"
        )
    return parts.path.strip("/")
