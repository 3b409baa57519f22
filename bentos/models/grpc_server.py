"""The gRPC server of the models: its port, TLS, health, reflection, and how it stops.

It runs in the event loop of the HTTP server, so its calls go into the same batches. Several
workers share the port by SO_REUSEPORT: the kernel gives each connection to one of them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from bentos.models.calls import Models
from bentos.models.grpc_door import GrpcMethod
from bentos.models.grpc_methods import Methods, of_stream
from bentos.settings import GrpcSettings, Settings
from bentos.web.auth.guard import Guard

NAME = "inference.GRPCInferenceService"
SERVING, NOT_SERVING = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
)
LOOK_SECONDS = 1.0  # between looks at what the health service says
SETTLING_SECONDS = 0.05  # until what has come is seen
CONNECTION_SECONDS = 300  # until a caller connects anew, maybe to another worker or replica
KEEPALIVE_MS = 60_000  # until a quiet connection is asked whether its caller is still there


class GrpcServer:
    """Answers for the models of a rack from `start` to `stop`, both called in the event loop."""

    def __init__(self, rack: Models, guard: Guard, settings: Settings) -> None:
        self._rack = rack
        self._guard = guard
        self._settings = settings
        self._seconds = settings.services.request_timeout_seconds
        self.address = f"{settings.grpc.host}:{settings.grpc.port}"
        self._health = health.aio.HealthServicer()
        self._methods: list[GrpcMethod] = []
        self._server: Any = None
        self._status: Any = None  # as it was told
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises RuntimeError for a port that cannot be had, or keys that are none."""
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers([self._handlers()])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        services = (NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(services, server)
        try:
            _listen(server, self.address, self._settings.grpc)
        except (OSError, RuntimeError) as error:
            message = f"gRPC cannot listen at {self.address} (grpc.port): {error}"
            raise RuntimeError(message) from None
        await self._look()
        await server.start()
        self._server, self._telling = server, asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Take no more calls, and return once those in flight are answered or out of time."""
        if self._telling:
            self._telling.cancel()
        await self._health.enter_graceful_shutdown()
        if self._server:
            stopping = asyncio.create_task(self._server.stop(self._seconds))
            await asyncio.sleep(SETTLING_SECONDS)
            while any(method.calls for method in self._methods) and not stopping.done():  # noqa: ASYNC110
                await asyncio.sleep(SETTLING_SECONDS)
            await self._server.stop(None)  # streams without end, such as health's
            await stopping

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self._settings.limits.body_bytes),
            ("grpc.so_reuseport", int(self._settings.services.workers > 1)),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.max_connection_age_ms", 1000 * CONNECTION_SECONDS),
        ]

    def _handlers(self) -> Any:
        methods = Methods(self._rack, self._seconds)
        handlers = {
            name: grpc.stream_unary_rpc_method_handler(self._method(name, answer).unary)
            for name, answer in methods.unary.items()
        }
        streaming = self._method("ModelStreamInfer", methods.infer)

        async def streamed(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for answer in streaming.stream(messages, context):
                yield of_stream(answer)

        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(streamed)
        return grpc.method_handlers_generic_handler(NAME, handlers)

    def _method(self, name: str, answer: Any) -> GrpcMethod:
        path, seconds = f"/{NAME}/{name}", self._seconds
        made = GrpcMethod("models", path, self._guard, answer, seconds, CONNECTION_SECONDS)
        self._methods.append(made)
        return made

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        status = SERVING if self._rack.ready else NOT_SERVING
        if status != self._status:
            self._status = status
            for name in ("", NAME):
                await self._health.set(name, status)


def _listen(server: Any, address: str, settings: GrpcSettings) -> None:
    if settings.certificate is None or settings.key is None:
        server.add_insecure_port(address)
        return
    authority = settings.client_authority
    pair = settings.key.read_bytes(), settings.certificate.read_bytes()
    root = authority.read_bytes() if authority else None
    server.add_secure_port(
        address, grpc.ssl_server_credentials([pair], root, require_client_auth=root is not None)
    )
