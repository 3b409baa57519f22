"""The Open Inference Protocol (v2), which clients of Triton, KServe and MLServer speak.

Format: https://github.com/kserve/open-inference-protocol; errors are `{"error": ...}`.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bentos.models.calls import Codecs, Models, Row, find, live, standing
from bentos.models.doors import Doors
from bentos.models.statistics import statistics
from bentos.models.v2_infer import PATH, Infer
from bentos.protocols import V2, Inference
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import Schema
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import HTTPError, NotReady, Problem, UnprocessableBody, clip

NAME, VERSION = "ascenso", "2"
EXTENSIONS = ["binary_tensor_data", "model_configuration", "statistics"]
UNKNOWN = "Request for unknown model"  # as Triton begins what it says of one
INDEX_BYTES = 64 * 1024


class Entry(msgspec.Struct, frozen=True):
    """A version in the index of the repository."""

    name: str
    version: str
    state: str
    reason: str


class IndexAsked(msgspec.Struct):
    """What a call for the index may say."""

    ready: bool = False


class OpenInference:
    """The endpoints, for the models of a rack; a call is given up after `timeout` seconds."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self._rack = rack
        self._codecs = Codecs(lambda *about: V2(inference(*about)))
        self.doors = Doors(rack, PATH, lambda slot: Infer(slot, self._codecs, timeout))

    @property
    def endpoints(self) -> list[Endpoint]:
        """What the protocol names, below /v2."""
        known = {200: Answer("model_stats, one entry a model")}
        ready = {200: Answer("They do"), 503: Answer("Some do not yet")}
        return [
            Endpoint("GET", "/v2", self._server, "The server", {200: Answer("Its name")}),
            Endpoint(
                "GET", "/v2/health/live", self._alive, "Whether it answers", {200: Answer("Yes")}
            ),
            Endpoint("GET", "/v2/health/ready", self._ready, "Whether all models serve", ready),
            Endpoint(
                "POST",
                "/v2/repository/index",
                self._index,
                "All versions that serve, are looked at, or were refused",
                {200: Answer("Name, version, state and reason of each")},
                body=IndexAsked,
                examples={"those that serve": {"ready": True}},
            ),
            Endpoint("GET", "/v2/models/stats", self._stats, "What all models answered", known),
            *self._of_model("/v2/models/{name}"),
            *self._of_model("/v2/models/{name}/versions/{version}"),
            *(
                Endpoint(method, "/v2/{rest:path}", self._nothing, include_in_schema=False)
                for method in ("GET", "POST")
            ),
        ]

    def _of_model(self, place: str) -> list[Endpoint]:
        """What is asked of a model, or of a version of it that stands."""
        known = {200: Answer("It"), 404: Answer("No such model, or another version"), **NOT_READY}
        infer = "Answers of a model, by the Open Inference Protocol"
        return [
            # Infer answers for the models that are.
            Endpoint("POST", f"{place}/infer", self._unknown, infer, known, body=Any),
            Endpoint("GET", f"{place}/ready", self._model_ready, "Whether a model serves", known),
            Endpoint("GET", f"{place}/config", self._config, "The same, as Triton has it", known),
            Endpoint("GET", f"{place}/stats", self._stats, "What a model answered so far", known),
            Endpoint("GET", place, self._metadata, "What a model takes and gives", known),
        ]

    async def _server(self, request: Request) -> Response:
        return to_json({"name": NAME, "version": VERSION, "extensions": EXTENSIONS})

    async def _alive(self, request: Request) -> Response:
        return to_json({"live": True})

    async def _ready(self, request: Request) -> Response:
        ready = self._rack.ready
        return to_json({"ready": ready}, 200 if ready else 503)

    async def _index(self, request: Request) -> Response:
        asked = _asked(await read(request.scope, request.receive, INDEX_BYTES))
        return to_json(index(self._rack, asked.ready))

    async def _nothing(self, request: Request) -> Response:
        """What is not of the protocol, or not served."""
        place = f"{request.method} {clip(request.url.path)}"
        raise HTTPError(404, f"Nothing of the Open Inference Protocol is at {place}")

    async def _model_ready(self, request: Request) -> Response:
        slot, _ = self._standing(request)
        return to_json({"name": slot.name, "ready": True})

    async def _metadata(self, request: Request) -> Response:
        slot, release = self._standing(request)
        return to_json(self._codecs.of(slot, release).model.metadata(list(slot.standing)))

    async def _config(self, request: Request) -> Response:
        slot, release = self._standing(request)
        return to_json(self._codecs.of(slot, release).model.config())

    async def _stats(self, request: Request) -> Response:
        if "name" in request.path_params:
            releases = [self._standing(request)[1]]
        else:
            releases = [slot.live for slot in self._rack.slots if slot.live]
        return to_json({"model_stats": await statistics(releases)})

    async def _unknown(self, request: Request) -> Response:
        """`.../infer` where no such model is promoted."""
        live(wanted(self._rack, request.path_params["name"]))
        raise NotReady("The model came this moment: call again")

    def _standing(self, request: Request) -> tuple[Slot[Row, Row], Release]:
        """The slot, and its live release or the one of the version that is named."""
        slot = wanted(self._rack, request.path_params["name"])
        return slot, standing(slot, _version(request))


def inference(release: Release, schema: Schema, most: int) -> Inference:
    """A release as the protocol has it."""
    return Inference(schema, release.version.name, release.version.version, most)


def wanted(rack: Models, name: str) -> Slot[Row, Row]:
    """As `find`, with the words by which Triton's clients know that a model is unknown."""
    try:
        return find(rack, name)
    except NotReady:
        raise
    except HTTPError as error:
        raise HTTPError(error.status, f"{UNKNOWN}: {error.sentence}") from None


def index(rack: Models, ready: bool) -> list[Entry]:
    """The versions of all promoted models, or those alone that are ready."""
    entries = [entry for slot in rack.slots for entry in _entries(slot)]
    return [entry for entry in entries if not ready or entry.state == "READY"]


def _entries(slot: Slot[Row, Row]) -> list[Entry]:
    """Those that answer, and then the candidate, or the one that was refused."""
    found = [Entry(slot.name, version, "READY", "") for version in slot.standing]
    if slot.candidate:
        found.append(Entry(slot.name, slot.candidate.version, "LOADING", slot.trouble))
    elif slot.refused:
        why = f"{slot.refused.reason}: {slot.refused.message}"
        found.append(Entry(slot.name, slot.refused.version, "UNAVAILABLE", why))
    return found


def _version(request: Request) -> str | None:
    version: str | None = request.path_params.get("version")
    return version


def _asked(body: bytes) -> IndexAsked:
    try:
        return msgspec.json.decode(body or b"{}", type=IndexAsked)
    except (ValueError, RecursionError) as error:
        problem = Problem(["body"], f"the request is none of this protocol: {error}", "json")
        raise UnprocessableBody(problem) from None
