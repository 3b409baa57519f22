"""Versions of contugas-anomaly to promote, and what serves on a stack."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.stack import Stack

MODEL = "contugas-anomaly"
READING = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}


@dataclass(frozen=True)
class Versions:
    """Makes versions out of the files of the first one, which `make up` trained."""

    mlflow: str

    def copy(self, digest: str | None = None) -> str:
        """A new version; with another digest than training stored, it must be refused."""
        first = self.get("1")
        kept = {tag["key"]: tag["value"] for tag in first["tags"]}["ascenso.digest"]
        body = {
            "name": MODEL,
            "source": first["source"],
            "model_id": first["source"].removeprefix("models:/"),
            "run_id": first["run_id"],
            "tags": [{"key": "ascenso.digest", "value": digest or kept}],
        }
        return str(self._call("POST", "model-versions/create", body)["model_version"]["version"])

    def get(self, version: str) -> dict[str, Any]:
        query = f"model-versions/get?name={MODEL}&version={version}"
        result: dict[str, Any] = self._call("GET", query)["model_version"]
        return result

    def tags(self, version: str) -> dict[str, str]:
        return {tag["key"]: tag.get("value", "") for tag in self.get(version).get("tags", [])}

    def alias(self, name: str) -> str:
        query = f"registered-models/alias?name={MODEL}&alias={name}"
        return str(self._call("GET", query)["model_version"]["version"])

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = httpx.request(
            method, f"{self.mlflow}/api/2.0/mlflow/{path}", json=body, timeout=60
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


def live(stack: Stack) -> str:
    """The version that contugas says is live."""
    (release,) = httpx.get(f"{stack.api}/contugas/releases", timeout=60).json()["releases"]
    return str(release["live"]["version"])


def answering(stack: Stack) -> str:
    """The version that answers a call to contugas."""
    answer = httpx.post(f"{stack.api}/contugas/predict", json=READING, timeout=60)
    return answer.raise_for_status().headers["x-model-version"].rpartition("/")[2]
