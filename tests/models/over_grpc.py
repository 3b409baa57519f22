"""A gRPC server of models that live in memory, in the test's own event loop."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from bentos.models.calls import Models, Row, run
from bentos.models.grpc_server import NAME, GrpcServer
from bentos.registry.client import Version
from bentos.serving.rack import Rack
from bentos.serving.release import Contract, Release
from bentos.serving.slot import Slot
from bentos.serving.table import Table
from bentos.settings import Channel, LimitSettings, Settings
from bentos.tensors import Batch, Column, Schema
from bentos.web.auth.gate import Gate
from bentos.web.auth.guard import Guard
from bentos.web.observing import Metrics
from tests.memory import THREADED
from tests.stack import free_ports

SCHEMA = Schema((Column("x", "float64"),), outputs=(Column("y", "float64"),))
Predict = Callable[[Batch], Batch]
Code = grpc.StatusCode
INFER = f"/{NAME}/ModelInfer"


def times(factor: float) -> Predict:
    return lambda batch: Batch({"y": batch["x"] * factor})


def release(version: str, predict: Predict) -> Release:
    number = Version("scale", version)
    return Release(number, predict, "native", THREADED, 0.1, schema=SCHEMA)


def slot_of(name: str) -> Slot[Row, Row]:
    contract = Contract(None, None, by_schema=True)
    channel = Channel(stage="Production")
    return Slot(
        name, contract, run, channel, LimitSettings(), Metrics(), vacates=True, join=Table.join
    )


def models(predict: Predict | None = None) -> Models:
    """A rack of `scale`, whose version 1 serves, and of `empty`, whose version is on its way."""
    rack: Models = Rack("", slot_of)
    rack.add(["scale", "empty"])
    rack.known = True
    for slot in rack._slots.values():
        slot.promised = True
    found = rack.get("scale")
    assert found
    found.swap(release("1", predict or times(2)))
    return rack


@asynccontextmanager
async def answering(
    rack: Models, home: Path, **values: Any
) -> AsyncIterator[tuple[GrpcServer, grpc.aio.Channel]]:
    """A server that runs, and a caller of it; `values` are sections of the settings."""
    (port,) = free_ports(1)
    settings = Settings(home=home, grpc={"port": port} | values.pop("grpc", {}), **values)
    server = GrpcServer(rack, Guard("models", Gate(settings), []), settings)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield server, channel
    finally:
        await server.stop()


def infer(*values: float, name: str = "scale", version: str = "", **more: Any) -> bytes:
    """The bytes of a call."""
    contents = {"fp64_contents": values}
    given = {"name": "x", "datatype": "FP64", "shape": [len(values)], "contents": contents}
    request = service_pb2.ModelInferRequest(
        model_name=name, model_version=version, inputs=[given], **more
    )
    return bytes(request.SerializeToString())


async def called(
    channel: grpc.aio.Channel, data: bytes, method: str = "ModelInfer", **options: Any
) -> Any:
    """The answer to bytes, as a message. Raises AioRpcError."""
    answer = await channel.unary_unary(f"/{NAME}/{method}")(data, **options)
    return getattr(service_pb2, f"{method}Response").FromString(answer)


async def refused(channel: grpc.aio.Channel, data: bytes, **options: Any) -> grpc.aio.AioRpcError:
    """The error that bytes are answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await called(channel, data, **options)
    return raised.value


def values(answer: Any) -> list[float]:
    """The numbers of an answer."""
    found: list[float] = np.frombuffer(answer.raw_output_contents[0]).tolist()
    return found
