"""What the gRPC server does with callers, beside what a model answers."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from pydantic import SecretStr
from tritonclient.grpc import service_pb2

from bentos import tracing
from bentos.models.grpc_server import NAME
from bentos.serving.trial import Trial
from bentos.settings import ChallengerSettings, SecuritySettings, TracingSettings
from bentos.tensors import Batch
from bentos.web.auth.tokens import Tokens
from bentos.web.auth.users import UserFile
from bentos.web.metrics import REQUESTS
from tests.models.over_grpc import (
    INFER,
    Code,
    answering,
    called,
    infer,
    models,
    refused,
    release,
    times,
    values,
)
from tests.stack import until

pytestmark = pytest.mark.anyio

SECRET = "a secret of 32 bytes or more, for tests"


def metadata(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    return dict(error.trailing_metadata())


async def test_wrong_calls_have_a_code_and_a_sentence(tmp_path: Path) -> None:
    rack = models()
    (empty,) = (slot for slot in rack.slots if slot.name == "empty")
    empty.consider(None, "𠮷" * 1000)  # 12 KB in a header: clients take some of these, not all
    async with answering(rack, tmp_path) as (_, channel):
        for data, code, said in (
            (b"\xff\xff", Code.INVALID_ARGUMENT, "the 2 bytes are no ModelInferRequest"),
            (b"", Code.NOT_FOUND, "Those that are: empty, scale"),
            (infer(), Code.INVALID_ARGUMENT, "no rows"),
            (infer(1, outputs=[{"name": "z"}]), Code.INVALID_ARGUMENT, "there are 'y'"),
            (infer(1, name="scales"), Code.NOT_FOUND, "No model 'scales' is promoted"),
            (infer(1, version="7"), Code.NOT_FOUND, "'7' does not serve. Those that do: 1"),
            (infer(1, name="ü" * 9000), Code.NOT_FOUND, "Those that are"),
            *[(infer(1, name="empty"), Code.UNAVAILABLE, "empty: 𠮷")] * 9,
        ):
            error = await refused(channel, data)
            assert (error.code(), said in (error.details() or "")) == (code, True)
        assert metadata(error)["retry-after"] == "1"
        assert metadata(error)["grpc-retry-pushback-ms"] == "1000"
        error = await refused(channel, b"", method="RepositoryModelLoad")
        assert error.code() == Code.UNIMPLEMENTED


async def test_ids_versions_and_counts(tmp_path: Path) -> None:
    labels = ("models", "scale/ModelInfer", "200")
    (before,) = REQUESTS.values.get(labels, [0.0])
    async with answering(models(), tmp_path) as (_, channel):
        call = channel.unary_unary(INFER)(infer(1.5), metadata=[("x-request-id", "abc-1")])
        await call
        headers = dict(await call.trailing_metadata())
        assert (headers["x-request-id"], headers["x-model-version"]) == ("abc-1", "scale/1")
        call = channel.unary_unary(INFER)(infer(1.5), metadata=[("x-request-id", "a b")])
        await call
        assert len(dict(await call.trailing_metadata())["x-request-id"]) == 16
    assert REQUESTS.values[labels] == [before + 2]


async def test_a_call_is_traced(tmp_path: Path) -> None:
    """By the way the spans in a file, a line each."""
    spans = tmp_path / "spans.jsonl"
    tracing.begin(TracingSettings(exporter="json", file=spans), "models")
    try:
        async with answering(models(), tmp_path) as (_, channel):
            trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            sent = [("traceparent", f"00-{trace}-00f067aa0ba902b7-01")]
            await channel.unary_unary(INFER)(infer(1.5), metadata=sent)
            await refused(channel, b"")
    finally:
        tracing.end()
    said = [json.loads(line) for line in spans.read_text().splitlines()]
    of = {one["name"]: one for one in said if one["context"]["trace_id"] == f"0x{trace}"}
    call, batch = of[f"{NAME}/ModelInfer"], of["batch"]
    assert (call["parent_id"], call["kind"]) == ("0x00f067aa0ba902b7", "SpanKind.SERVER")
    assert batch["parent_id"] == of["wait"]["parent_id"] == call["context"]["span_id"]
    assert call["attributes"]["ascenso.route"] == "scale/ModelInfer"
    assert len([one for one in said if one["name"] == call["name"]]) == 2


async def test_statistics_are_those_of_the_metrics(tmp_path: Path) -> None:
    async def counted(name: str = "") -> list[int]:
        data = service_pb2.ModelStatisticsRequest(name=name, version=name and "1")
        said = await called(channel, data.SerializeToString(), method="ModelStatistics")
        (stats,) = said.model_stats  # `empty` has no version
        assert (stats.name, stats.version) == ("scale", "1")
        parts = stats.inference_stats
        return [
            parts.success.count, parts.fail.count, stats.inference_count, stats.execution_count,
            parts.compute_infer.count, parts.success.ns, parts.compute_infer.ns,
        ]  # fmt: skip

    async with answering(models(), tmp_path) as (_, channel):
        before = await counted()
        await called(channel, infer(1, 2, 3))
        await called(channel, infer(1))
        await refused(channel, infer())
        *counts, total, computing = (b - a for a, b in zip(before, await counted(), strict=True))
        assert counts == [2, 1, 4, 2, 2]
        assert total > computing > 0
        assert await counted("scale") == await counted()
        for name, version in (("nobody", ""), ("scale", "7")):
            data = service_pb2.ModelStatisticsRequest(name=name, version=version)
            error = await refused(channel, data.SerializeToString(), method="ModelStatistics")
            assert error.code() == Code.NOT_FOUND
        data = service_pb2.ModelStatisticsRequest(version="1")
        error = await refused(channel, data.SerializeToString(), method="ModelStatistics")
        assert error.code() == Code.INVALID_ARGUMENT
        assert error.details() == "version '1' is of no model: name it"


async def test_versions_that_stand(tmp_path: Path) -> None:
    rack = models()
    slot = rack.get("scale")
    assert slot
    slot.swap(release("2", times(3)))
    slot.trial = Trial(slot, ChallengerSettings(mode="canary", share=1))
    slot.trial.slot.swap(release("3", times(5)))
    async with answering(rack, tmp_path) as (_, channel):
        for version, factor in (("1", 2), ("2", 3), ("3", 5), ("", 5)):
            answer = await called(channel, infer(1, 2, version=version))
            assert answer.model_version == (version or "3")
            assert values(answer) == [factor, 2 * factor]
        slot.swap(release("4", times(7)))
        error = await refused(channel, infer(1, version="1"))
        assert "Those that do: 4, 2, 3" in (error.details() or "")
        ready = await called(channel, b"\n\5scale\x12\x012", method="ModelReady")
        assert ready.ready
        ready = await called(channel, b"\n\5scale\x12\x011", method="ModelReady")
        assert not ready.ready


async def test_a_failing_model_tells_nothing_of_itself(tmp_path: Path) -> None:
    def fails(batch: Batch) -> Batch:
        raise RuntimeError("a secret path")

    async with answering(models(fails), tmp_path) as (_, channel):
        error = await refused(channel, infer(1))
        assert error.code() == Code.INTERNAL
        assert "a secret path" not in str(error)
        assert "see the service's log" in (error.details() or "")


async def test_a_guarded_service_wants_a_token(tmp_path: Path) -> None:
    users = UserFile(tmp_path / "users.json")
    users.add("ana", "correct horse battery")
    security = {"guarded": ["models"], "secret": SECRET, "rate_limit": "3/minute"}
    token = Tokens(SecuritySettings(secret=SecretStr(SECRET))).issue(
        "ana", users.read()["ana"].mark, admin=False
    )
    async with answering(models(), tmp_path, security=security) as (_, channel):
        for header in ((), (("authorization", "Bearer x"),)):
            error = await refused(channel, infer(1), metadata=header)
            assert error.code() == Code.UNAUTHENTICATED
            assert metadata(error)["www-authenticate"].startswith("Bearer")
        mine = [("authorization", f"Bearer {token}")]
        for _ in range(3):
            assert values(await called(channel, infer(1), metadata=mine)) == [2]
        error = await refused(channel, infer(1), metadata=mine)
        assert error.code() == Code.RESOURCE_EXHAUSTED
        assert 0 < int(metadata(error)["retry-after"]) <= 60


async def test_a_stream_answers_one_by_one(tmp_path: Path) -> None:
    async with answering(models(), tmp_path) as (_, channel):
        call = channel.stream_stream(f"/{NAME}/ModelStreamInfer")()
        for data in (infer(1), infer(1, name="nobody"), infer(3)):
            await call.write(data)
        await call.done_writing()
        answers = [answer async for answer in call]
    assert b"No model 'nobody' is promoted" in answers[1]
    assert [np.float64(factor).tobytes() in answers[at] for at, factor in ((0, 2), (2, 6))]


async def test_health_and_reflection(tmp_path: Path) -> None:
    rack = models()
    async with answering(rack, tmp_path) as (_, channel):
        asked = health_pb2.HealthCheckRequest(service=NAME).SerializeToString()
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await check(asked) == b"\x08\x02"  # `empty` serves nothing yet
        slot = rack.get("empty")
        assert slot
        slot.swap(release("1", times(1)))

        async def serving() -> bool:
            return bool(await check(asked) == b"\x08\x01")

        await until(serving)
        listed = reflection_pb2.ServerReflectionRequest(list_services="")
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        call = channel.stream_stream(path)()
        await call.write(listed.SerializeToString())
        assert NAME.encode() in await call.read()
        call.cancel()
