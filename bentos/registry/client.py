"""The MLflow registry over its REST API: read in one call, notes written back.

The REST API is used directly because a service must not pay MLflow's import to start.
Format: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import os
from collections.abc import Iterator
from typing import Any, TypeVar

import httpx
import msgspec

from bentos.registry.address import credentials, without_password

T = TypeVar("T")
PAGE = 1000
TAG_LIMIT = 5000
DIGEST_TAG = "ascenso.digest"


class RegistryUnavailable(Exception):
    """The registry did not answer, or not with what its API promises. Worth another try."""


class RegistryRefused(Exception):
    """The registry answered that it will not do that; the message says what to do."""


class NotInRegistry(Exception):
    """The registry answered that it holds no such model, version or alias."""


class Tag(msgspec.Struct, frozen=True):
    """A note on a version."""

    key: str
    value: str = ""


class Alias(msgspec.Struct, frozen=True):
    """A name that points to a version."""

    alias: str
    version: str


class Version(msgspec.Struct, frozen=True, rename={"stage": "current_stage"}):
    """One version of a registered model. Times are milliseconds since 1970, UTC."""

    name: str
    version: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    stage: str = "None"
    run_id: str = ""
    user_id: str = ""
    tags: tuple[Tag, ...] = ()

    def tag(self, key: str) -> str:
        """The value of a tag, or an empty string."""
        return next((tag.value for tag in self.tags if tag.key == key), "")

    @property
    def number(self) -> int:
        """The version as a number."""
        return int(self.version)

    @property
    def digest(self) -> str:
        """What training said of the manifest: `sha256:<hex>`, or nothing."""
        return self.tag(DIGEST_TAG)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


class Model(msgspec.Struct, frozen=True):
    """A registered model, with the highest version of each stage and every alias."""

    name: str
    last_updated_timestamp: int = 0
    latest_versions: tuple[Version, ...] = ()
    aliases: tuple[Alias, ...] = ()

    def alias(self, name: str) -> str | None:
        """The version that an alias points to."""
        return next((a.version for a in self.aliases if a.alias == name), None)


class _ModelPage(msgspec.Struct):
    registered_models: list[Model] = []
    next_page_token: str = ""


class _VersionPage(msgspec.Struct):
    model_versions: list[Version] = []
    next_page_token: str = ""


class _OneVersion(msgspec.Struct):
    model_version: Version


class _ArtifactUri(msgspec.Struct):
    artifact_uri: str


class Registry:
    """A client of one MLflow server, usable from several threads.

    Raises RegistryUnavailable when the server is down or answers garbage, NotInRegistry when it
    answers that the thing does not exist.
    """

    def __init__(self, uri: str, timeout: float = 10.0) -> None:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        self.address = uri
        self.uri = without_password(uri)  # as messages may show it
        self.http = httpx.Client(
            base_url=f"{self.uri}/api/2.0/",
            timeout=timeout,
            auth=(user, password) if user else credentials(uri),
        )

    def models(self) -> dict[str, Model]:
        """Every registered model by name, in one call for each 1,000."""
        pages = self._pages("mlflow/registered-models/search", _ModelPage, {"max_results": PAGE})
        return {model.name: model for page in pages for model in page.registered_models}

    def versions(self, name: str) -> list[Version]:
        """Every version of one model."""
        quote = '"' if "'" in name else "'"  # the filter knows no escapes
        params = {"filter": f"name={quote}{name}{quote}", "max_results": PAGE}
        pages = self._pages("mlflow/model-versions/search", _VersionPage, params)
        return [version for page in pages for version in page.model_versions]

    def version(self, name: str, version: str) -> Version:
        """One version, with its tags."""
        params = {"name": name, "version": version}
        return self._call("GET", "mlflow/model-versions/get", _OneVersion, params).model_version

    def artifact_uri(self, version: Version) -> str:
        """Where the files of a version lie: `mlflow-artifacts:/...` or `s3://...`."""
        params = {"name": version.name, "version": version.version}
        path = "mlflow/model-versions/get-download-uri"
        return self._call("GET", path, _ArtifactUri, params).artifact_uri

    def set_tag(self, version: Version, key: str, value: str) -> None:
        """Write a note on a version, cut to what the registry takes."""
        body = {
            "name": version.name,
            "version": version.version,
            "key": key,
            "value": value[:TAG_LIMIT],
        }
        self._call("POST", "mlflow/model-versions/set-tag", dict[str, Any], body=body)

    def delete_tag(self, version: Version, key: str) -> None:
        """Remove a note from a version."""
        body = {"name": version.name, "version": version.version, "key": key}
        self._call("DELETE", "mlflow/model-versions/delete-tag", dict[str, Any], body=body)

    def promote(self, name: str, version: str, stage: str) -> None:
        """Move a version to a stage and archive the one that it replaces."""
        body = {
            "name": name,
            "version": version,
            "stage": stage,
            "archive_existing_versions": True,
        }
        self._call("POST", "mlflow/model-versions/transition-stage", dict[str, Any], body=body)

    def set_alias(self, name: str, version: str, alias: str) -> None:
        """Point an alias to a version."""
        body = {"name": name, "version": version, "alias": alias}
        self._call("POST", "mlflow/registered-models/alias", dict[str, Any], body=body)

    def _pages(self, path: str, kind: type[T], params: dict[str, Any]) -> Iterator[T]:
        token = ""
        while True:
            query = params | ({"page_token": token} if token else {})
            page = self._call("GET", path, kind, query)
            yield page
            token = getattr(page, "next_page_token", "")
            if not token:
                return

    def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        params: dict[str, Any] | None = None,
        body: dict[str, Any] | None = None,
    ) -> T:
        try:
            answer = self.http.request(method, path, params=params, json=body)
        except httpx.HTTPError as error:
            raise RegistryUnavailable(f"MLflow at {self.uri} does not answer: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise _refused(self.uri, path, answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RegistryUnavailable(
                f"MLflow at {self.uri} answered {path} with something else than its API says: "
                f"{error}"
            ) from error


def _refused(uri: str, path: str, answer: httpx.Response) -> Exception:
    said = answer.text[:300]
    message = f"MLflow at {uri} answered {answer.status_code} to {path}: {said}"
    if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST) and (
        "RESOURCE_DOES_NOT_EXIST" in said
    ):
        return NotInRegistry(message)
    return RegistryUnavailable(message)
