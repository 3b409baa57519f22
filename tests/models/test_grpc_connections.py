"""Connections to the server of gRPC: who stalls, who is let in, and how they end."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from bentos.models import grpc_server
from bentos.models.grpc_server import NAME
from bentos.settings import GrpcSettings
from bentos.tensors import Batch
from tests.models.certificates import Authority
from tests.models.over_grpc import (
    INFER,
    Code,
    answering,
    called,
    infer,
    models,
    refused,
    times,
    values,
)
from tests.stack import until

pytestmark = pytest.mark.anyio

# As docs/protocols.md has it: gRPC itself cancels what comes while a server hears that it ends.
RETRIES = """{"methodConfig": [{"name": [{}], "retryPolicy": {
    "maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]}}]}"""


@pytest.mark.parametrize("packed", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_messages_over_the_limit(tmp_path: Path, packed: grpc.Compression) -> None:
    async with answering(models(), tmp_path, limits={"body_bytes": 10_000}) as (_, channel):
        error = await refused(channel, infer(*([1.0] * 5_000)), compression=packed)
        assert error.code() == Code.RESOURCE_EXHAUSTED
        assert values(await called(channel, infer(1))) == [2]


async def test_a_caller_who_stalls_keeps_nobody(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        await asyncio.sleep(300)
        yield b""

    services = {"request_timeout_seconds": 1}
    async with answering(models(), tmp_path, services=services) as (_, channel):
        stalls = [channel.stream_unary(INFER)(nothing()) for _ in range(20)]
        await asyncio.gather(*(call.wait_for_connection() for call in stalls))
        assert values(await called(channel, infer(1))) == [2]
        for call in stalls:
            assert await call.code() == Code.DEADLINE_EXCEEDED
            assert await call.details() == "The message did not come within 1 s"


async def test_a_stream_that_only_waits_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "CONNECTION_SECONDS", 1)
    async with answering(models(), tmp_path) as (_, channel):
        call = channel.stream_stream(f"/{NAME}/ModelStreamInfer")()
        await call.write(infer(1))
        assert await call.read()
        assert await asyncio.wait_for(call.code(), 20) == Code.DEADLINE_EXCEEDED
        assert await call.details() == "The message did not come within 1 s"


async def test_calls_in_flight_are_answered_at_the_end(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(batch: Batch) -> Batch:
        begun.set()
        assert go_on.wait(60)
        return Batch({"y": batch["x"]})

    async with answering(models(slowly), tmp_path) as (server, channel):
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read() == b"\x08\x02"
        call = asyncio.create_task(called(channel, infer(1)))
        await until(begun.is_set)
        stopping = asyncio.create_task(server.stop())
        async with grpc.aio.insecure_channel(server.address) as late:
            await until(lambda: _closed(late))
        assert not stopping.done()
        go_on.set()
        assert values(await call) == [1]
        await asyncio.wait_for(stopping, 20)  # the watch that goes on does not hold it


async def _closed(channel: grpc.aio.Channel) -> bool:
    try:
        # Now and then one that comes as the server ends is left unread until the end.
        await called(channel, b"", method="ServerLive", timeout=1)
    except grpc.aio.AioRpcError as error:
        return bool(error.code() == Code.UNAVAILABLE)
    return False


async def test_a_port_that_is_in_use_is_named(tmp_path: Path) -> None:
    async with answering(models(), tmp_path) as (server, _):
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(RuntimeError, match=f"{server.address} .grpc.port"):
            async with answering(models(), tmp_path, grpc={"port": port}):
                pass


async def test_tls_with_the_certificate_of_the_caller(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    certificate, key = authority.issue("localhost")
    tls = {"certificate": certificate, "key": key, "client_authority": authority.certificate}
    async with answering(models(), tmp_path, grpc=tls) as (server, plain):
        assert (await refused(plain, infer(1))).code() == Code.UNAVAILABLE
        for issuer, answers in ((stranger, False), (authority, True)):
            mine, secret = issuer.issue("caller")
            keys = secret.read_bytes(), mine.read_bytes()
            trusted = grpc.ssl_channel_credentials(authority.certificate.read_bytes(), *keys)
            address = server.address.replace("127.0.0.1", "localhost")
            async with grpc.aio.secure_channel(address, trusted) as channel:
                if answers:
                    assert values(await called(channel, infer(1))) == [2]
                else:
                    assert (await refused(channel, infer(1))).code() == Code.UNAVAILABLE
    with pytest.raises(ValueError, match=r"grpc.certificate and grpc.key go together"):
        GrpcSettings(port=1, key=key)


async def test_a_worker_of_a_port_ends_and_who_asks_again_loses_nothing(tmp_path: Path) -> None:
    workers: dict[str, Any] = {"services": {"workers": 2}}
    answered: Counter[float] = Counter()
    ending = asyncio.Event()

    async def ask(address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.service_config", RETRIES)]
        async with grpc.aio.insecure_channel(address, options) as channel:
            while not ending.is_set():
                answered.update(values(await called(channel, infer(1))))

    async with answering(models(times(2)), tmp_path, **workers) as (first, _):
        port = int(first.address.rpartition(":")[2])
        async with answering(models(times(3)), tmp_path, grpc={"port": port}, **workers):
            calls = [asyncio.create_task(ask(first.address)) for _ in range(16)]

            async def come(*more: float) -> None:
                until_then = {value: answered[value] + 50 for value in more}
                await until(
                    lambda: (
                        any(call.done() for call in calls)
                        or all(answered[value] > count for value, count in until_then.items())
                    )
                )

            await come(2, 3)
            await first.stop()
            left = answered[2]
            await come(3)
            ending.set()
            await asyncio.gather(*calls)
            assert answered[2] == left
