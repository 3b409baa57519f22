"""The MLflow registry over its REST API: read in one call, notes written back.

The REST API is used directly because a service must not pay MLflow's import to start.
Format: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from bentos import tracing
from bentos.outward import calling
from bentos.registry.access import Headers, connected
from bentos.registry.address import without_password
from bentos.registry.answers import (
    ArtifactUri,
    ModelPage,
    OneLogged,
    OneModel,
    OneVersion,
    VersionPage,
)
from bentos.registry.entities import Alias, Model
from bentos.registry.errors import (
    CallFailed,
    NotInRegistry,
    RegistryRefused,
    RegistryUnavailable,
)
from bentos.registry.filters import named, pattern
from bentos.version import DIGEST_TAG, Tag, Version

__all__ = [
    "DIGEST_TAG",
    "Alias",
    "CallFailed",
    "Model",
    "NotInRegistry",
    "Registry",
    "RegistryRefused",
    "RegistryUnavailable",
    "Tag",
    "Version",
]

T = TypeVar("T")
PAGE = 1000
SEARCH = "mlflow/registered-models/search"
TAG_LIMIT = 5000


class Registry:
    """A client of one MLflow server, usable from several threads.

    Raises RegistryUnavailable when the server is down or answers garbage, NotInRegistry when it
    answers that the thing does not exist; AccessError when it cannot be asked at all.
    """

    def __init__(
        self,
        uri: str,
        timeout: float = 10.0,
        direct: str = "",
        caller: Headers | None = None,
    ) -> None:
        self.address = uri
        self.uri = without_password(uri)  # as messages may show it
        self.http = connected(uri, timeout, direct, caller)
        self.wrote_at = 0.0  # when this client last changed something, by time.monotonic()

    def models(self, prefix: str = "", name: str = "") -> dict[str, Model]:
        """The registered models by name: all, those of a prefix, or one; a call for each 1,000."""
        params: dict[str, Any] = {"max_results": PAGE}
        if name or prefix:
            params["filter"] = named(name) if name else f"name LIKE '{pattern(prefix)}%'"
        pages = self._pages(SEARCH, ModelPage, params)
        found = {model.name: model for page in pages for model in page.registered_models}
        return {n: found[n] for n in found if n.startswith(prefix) and name in ("", n)}

    def newest(self, count: int) -> list[Model]:
        """The registered models that moved last: a version of theirs was made or changed stage."""
        params = {"max_results": count, "order_by": "last_updated_timestamp DESC"}
        return self._call("GET", SEARCH, ModelPage, params).registered_models

    def model(self, name: str) -> Model:
        """One registered model, as it is now."""
        path = "mlflow/registered-models/get"
        return self._call("GET", path, OneModel, {"name": name}).registered_model

    def versions(self, name: str) -> list[Version]:
        """Every version of one model."""
        params = {"filter": named(name), "max_results": PAGE}
        pages = self._pages("mlflow/model-versions/search", VersionPage, params)
        return [
            version for page in pages for version in page.model_versions if version.name == name
        ]

    def version(self, name: str, version: str) -> Version:
        """One version, with its tags."""
        params = {"name": name, "version": version}
        return self._call("GET", "mlflow/model-versions/get", OneVersion, params).model_version

    def artifact_uri(self, version: Version) -> str:
        """Where the files of a version lie: `mlflow-artifacts:/...` or `s3://...`."""
        params = {"name": version.name, "version": version.version}
        path = "mlflow/model-versions/get-download-uri"
        return self._call("GET", path, ArtifactUri, params).artifact_uri

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

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Write a note on a registered model."""
        body = {"name": name, "key": key, "value": value}
        self._call("POST", "mlflow/registered-models/set-tag", dict[str, Any], body=body)

    def delete_model_tag(self, name: str, key: str) -> None:
        """Remove a note from a registered model."""
        body = {"name": name, "key": key}
        self._call("DELETE", "mlflow/registered-models/delete-tag", dict[str, Any], body=body)

    def logged_tags(self, model_id: str) -> tuple[Tag, ...]:
        """The tags of a logged model: what a version is made of."""
        path = f"mlflow/logged-models/{quote(model_id, safe='')}"
        return self._call("GET", path, OneLogged).model.info.tags

    def copy(self, version: Version, name: str, tags: Mapping[str, str]) -> Version:
        """A copy of a version as the next of the model `name`, which is made if there is none."""
        try:
            self.model(name)
        except NotInRegistry:
            body: dict[str, Any] = {"name": name}
            self._call("POST", "mlflow/registered-models/create", dict[str, Any], body=body)
        body = {
            "name": name,
            "source": f"models:/{version.name}/{version.version}",
            "run_id": version.run_id,
            "model_id": version.model_id,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return self._call(
            "POST", "mlflow/model-versions/create", OneVersion, body=body
        ).model_version

    def promote(self, name: str, version: str, stage: str) -> Version:
        """Move a version to a stage, archive the one that it replaces; give the moved one."""
        body = {
            "name": name,
            "version": version,
            "stage": stage,
            "archive_existing_versions": True,
        }
        path = "mlflow/model-versions/transition-stage"
        return self._call("POST", path, OneVersion, body=body).model_version

    def set_alias(self, name: str, version: str, alias: str) -> None:
        """Point an alias to a version."""
        body = {"name": name, "version": version, "alias": alias}
        self._call("POST", "mlflow/registered-models/alias", dict[str, Any], body=body)

    def delete_alias(self, name: str, alias: str) -> None:
        """Let an alias point nowhere."""
        body = {"name": name, "alias": alias}
        self._call("DELETE", "mlflow/registered-models/alias", dict[str, Any], body=body)

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
            answer = self._answer(method, path, params, body)
        finally:
            if method != "GET":
                self.wrote_at = time.monotonic()
        if answer.status_code != httpx.codes.OK:
            raise _refused(self.uri, path, answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CallFailed(
                f"MLflow at {self.uri} answered {path} with something else than its API says: "
                f"{error}"
            ) from error

    def _answer(
        self, method: str, path: str, params: dict[str, Any] | None, body: dict[str, Any] | None
    ) -> httpx.Response:
        with tracing.span(f"{method} {path}", mlflow=self.uri), calling("mlflow"):
            try:
                answer = self.http.request(method, path, params=params, json=body)
            except httpx.HTTPError as error:
                message = f"MLflow at {self.uri} does not answer: {error}"
                raise RegistryUnavailable(message) from error
            if answer.is_server_error:
                raise _refused(self.uri, path, answer)
            return answer


def _refused(uri: str, path: str, answer: httpx.Response) -> Exception:
    said = answer.text[:300]
    message = f"MLflow at {uri} answered {answer.status_code} to {path}: {said}"
    if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST) and (
        "RESOURCE_DOES_NOT_EXIST" in said
    ):
        return NotInRegistry(message)
    passing = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
    raced = "IntegrityError" in said or "UniqueViolation" in said  # with one who wrote the same
    final = answer.is_client_error and answer.status_code not in passing and not raced
    return CallFailed(message, final, answer.status_code)
