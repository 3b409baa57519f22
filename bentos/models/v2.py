"""The Open Inference Protocol (v2), which clients of Triton, KServe and MLServer speak.

Format: https://github.com/kserve/open-inference-protocol; errors are `{"error": ...}`.
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from bentos.models.calls import Codecs, Models, Row, ask, find, live
from bentos.protocols.v2 import V2, V2Call
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch, Schema
from bentos.web.app import to_json
from bentos.web.body import read
from bentos.web.endpoint import NOT_READY, Answer, Endpoint
from bentos.web.errors import JSON, HTTPError, Problem, UnprocessableBody
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.hot import unfit

LENGTH = "inference-header-content-length"
BINARY = "application/octet-stream"
LONGEST = re.compile(r"[0-9]{1,12}")


class OpenInference:
    """The endpoints, for the models of a rack; a call is given up after `timeout` seconds."""

    def __init__(self, rack: Models, timeout: float) -> None:
        self._rack = rack
        self._timeout = timeout
        self._codecs = Codecs(_codec)

    @property
    def endpoints(self) -> list[Endpoint]:
        """What the protocol names, below /v2."""
        ready = {200: Answer("They do"), 503: Answer("Some do not yet")}
        return [
            Endpoint("GET", "/v2", self._server, "The server", {200: Answer("Its name")}),
            Endpoint(
                "GET", "/v2/health/live", self._alive, "Whether it answers", {200: Answer("Yes")}
            ),
            Endpoint("GET", "/v2/health/ready", self._ready, "Whether all models serve", ready),
            *self._of_model("/v2/models/{name}"),
            *self._of_model("/v2/models/{name}/versions/{version}"),
        ]

    def _of_model(self, place: str) -> list[Endpoint]:
        """What is asked of a model, or of the version of it that serves."""
        known = {200: Answer("It"), 404: Answer("No such model, or another version"), **NOT_READY}
        infer = "Answers of a model, by the Open Inference Protocol"
        return [
            Endpoint("POST", f"{place}/infer", self._infer, infer, known, body=Any),
            Endpoint("GET", f"{place}/ready", self._model_ready, "Whether a model serves", known),
            Endpoint("GET", place, self._metadata, "What a model takes and gives", known),
        ]

    async def _server(self, request: Request) -> Response:
        extensions = ["binary_tensor_data"]
        return to_json({"name": "ascenso", "version": "2", "extensions": extensions})

    async def _alive(self, request: Request) -> Response:
        return to_json({"live": True})

    async def _ready(self, request: Request) -> Response:
        ready = self._rack.ready
        return to_json({"ready": ready}, 200 if ready else 503)

    async def _model_ready(self, request: Request) -> Response:
        try:
            slot, _ = self._asked(request)
        except HTTPError as error:
            return _refusal(error)
        return to_json({"name": slot.name, "ready": True})

    async def _metadata(self, request: Request) -> Response:
        try:
            slot, release = self._asked(request)
        except HTTPError as error:
            return _refusal(error)
        return to_json(self._codecs.of(slot, release).metadata())

    async def _infer(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except HTTPError as error:
            return _refusal(error)

    async def _answer(self, request: Request) -> Response:
        slot, _ = self._asked(request)
        body = await read(request.scope, request.receive, slot.limits.body_bytes)
        length, calls = _length(request), list[V2Call]()

        def decoded(release: Release) -> Batch:
            calls[:] = [self._codecs.of(slot, release).decode(body, length)]
            return calls[0].batch

        answers, release = await ask(slot, decoded, self._timeout)
        try:
            given, header = self._codecs.of(slot, release).encode(answers, calls[0])
        except BadInput as error:
            raise unfit(error) from None
        headers = {VERSION_HEADER: spelled(str(release))}
        if header is None:
            return Response(given, headers=headers, media_type=JSON)
        return Response(given, headers=headers | {LENGTH: str(header)}, media_type=BINARY)

    def _asked(self, request: Request) -> tuple[Slot[Row, Row], Release]:
        """The slot and its live release, which is the version if one is named."""
        slot = find(self._rack, request.path_params["name"])
        release = live(slot)
        wanted = request.path_params.get("version", release.version.version)
        if wanted != release.version.version:
            raise HTTPError(404, f"Version {wanted!r} does not serve; {release} does")
        return slot, release


def _codec(release: Release, schema: Schema, most: int) -> V2:
    return V2(schema, release.version.name, release.version.version, most)


def _length(request: Request) -> int | None:
    text = request.headers.get(LENGTH)
    if text is None:
        return None
    if not LONGEST.fullmatch(text):
        message = f"the header {LENGTH} is {text[:40]!r}, and no number of bytes"
        raise UnprocessableBody(Problem(["header", LENGTH], message, "wrong_value"))
    return int(text)


def _refusal(error: HTTPError) -> Response:
    response = to_json({"error": error.sentence}, 400 if error.status == 422 else error.status)
    response.headers.update(error.headers)
    return response
