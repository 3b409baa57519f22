"""What each method of the Open Inference Protocol answers over gRPC."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from tritonclient.grpc import service_pb2

from bentos.models.calls import Codecs, Models, Row, ask, standing
from bentos.models.grpc_door import Call
from bentos.models.statistics import statistics
from bentos.models.v2 import EXTENSIONS, NAME, VERSION, index, inference, wanted
from bentos.protocols.inference import V2Call
from bentos.protocols.v2_grpc import V2Grpc, message
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch
from bentos.web.errors import HTTPError, clip
from bentos.web.headers import VERSION_HEADER, spelled
from bentos.web.hot import unfit


class Methods:
    """The methods, for the models of a rack; a call is answered within so many seconds."""

    def __init__(self, rack: Models, seconds: float) -> None:
        self._rack = rack
        self._seconds = seconds
        self._codecs = Codecs(lambda *about: V2Grpc(inference(*about)))

    @property
    def unary(self) -> Mapping[str, Callable[[Call], Awaitable[bytes]]]:
        """The methods of one message and one answer, by their names."""
        return {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "ModelInfer": self.infer,
        }

    async def infer(self, call: Call) -> bytes:
        """`ModelInferResponse`. Raises HTTPError."""
        request = _read("ModelInferRequest", call.data)
        slot = wanted(self._rack, request.model_name)
        call.route = f"{slot.name}/{call.route}"
        calls = list[V2Call]()

        def decoded(release: Release) -> Batch:
            calls[:] = [self._codecs.of(slot, release).decode(request)]
            return calls[0].batch

        version = request.model_version or None
        answers, release = await ask(slot, decoded, self._seconds, version=version)
        call.headers[VERSION_HEADER] = spelled(str(release))
        try:
            return self._codecs.of(slot, release).encode(answers, calls[0])
        except BadInput as error:
            raise unfit(error) from None

    async def _server_live(self, call: Call) -> bytes:
        return _written("ServerLiveResponse", live=True)

    async def _server_ready(self, call: Call) -> bytes:
        return _written("ServerReadyResponse", ready=self._rack.ready)

    async def _server_metadata(self, call: Call) -> bytes:
        about = {"name": NAME, "version": VERSION, "extensions": EXTENSIONS}
        return _written("ServerMetadataResponse", **about)

    async def _model_ready(self, call: Call) -> bytes:
        """As Triton has it: what is not there is not ready, and no error."""
        request = _read("ModelReadyRequest", call.data)
        try:
            standing(wanted(self._rack, request.name), request.version or None)
        except HTTPError:
            return _written("ModelReadyResponse", ready=False)
        return _written("ModelReadyResponse", ready=True)

    async def _model_metadata(self, call: Call) -> bytes:
        slot, release = self._standing("ModelMetadataRequest", call)
        described = self._codecs.of(slot, release).model.metadata(list(slot.standing))
        return _written("ModelMetadataResponse", **described)

    async def _model_config(self, call: Call) -> bytes:
        slot, release = self._standing("ModelConfigRequest", call)
        return _written(
            "ModelConfigResponse", config=self._codecs.of(slot, release).model.config()
        )

    async def _model_statistics(self, call: Call) -> bytes:
        request = _read("ModelStatisticsRequest", call.data)
        if request.version and not request.name:
            raise HTTPError(400, f"version {clip(request.version)!r} is of no model: name it")
        if request.name:
            releases = [self._standing("ModelStatisticsRequest", call)[1]]
        else:
            releases = [slot.live for slot in self._rack.slots if slot.live]
        found = msgspec.to_builtins(await statistics(releases))
        return _written("ModelStatisticsResponse", model_stats=found)

    def _standing(self, kind: str, call: Call) -> tuple[Slot[Row, Row], Release]:
        """The slot that a message names, and the live release or the one of its version."""
        request = _read(kind, call.data)
        slot = wanted(self._rack, request.name)
        return slot, standing(slot, request.version or None)

    async def _index(self, call: Call) -> bytes:
        request = _read("RepositoryIndexRequest", call.data)
        response = service_pb2.RepositoryIndexResponse()
        for entry in index(self._rack, request.ready):
            response.models.add(
                name=entry.name, version=entry.version, state=entry.state, reason=entry.reason
            )
        return bytes(response.SerializeToString())


def of_stream(answer: bytes | HTTPError) -> bytes:
    """What a stream gives for one of its calls: the answer, or what was wrong with it."""
    response = service_pb2.ModelStreamInferResponse()
    if isinstance(answer, HTTPError):
        response.error_message = answer.sentence
    else:
        response.infer_response.ParseFromString(answer)
    return bytes(response.SerializeToString())


def _read(name: str, data: bytes) -> Any:
    try:
        return message(name, data)
    except BadInput as error:
        raise unfit(error) from None


def _written(name: str, /, **fields: Any) -> bytes:
    return bytes(getattr(service_pb2, name)(**fields).SerializeToString())
