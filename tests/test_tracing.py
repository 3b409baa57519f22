"""A call and a promotion as a collector hears of them, from a real service in a process."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex

import httpx
import pytest

from tests.collector import Collector, Span, collecting
from tests.services import served
from tests.stack import Stack, wait_for

READING = {"presion": 1.2, "temperatura": 25.5, "volumen": 100.0}
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STEPS = ["admission", "fetch", "verify", "load", "checks", "compile", "trial", "open", "swap"]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def client(
    stack: Stack, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    variables = {
        "ASCENSO_TRACING__EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "gas",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        # Of calls, those whose callers keep theirs.
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0",
    }
    folder = tmp_path_factory.mktemp("traced")
    with (
        served("bentos.contugas:Contugas", stack.mlflow, folder, **variables) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def batches(collector: Collector) -> list[Span]:
    return [span for span in collector.spans if span.name == "batch"]


def test_a_call_is_traced_from_its_caller_to_the_model(
    client: httpx.Client, collector: Collector
) -> None:
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "abc"}
    answer = client.post("/predict", json=READING, headers=headers)
    wait_for(lambda: "POST /predict" in collector.of(TRACE), 30)
    spans = collector.of(TRACE)
    call, wait, batch, model = (spans[n] for n in ("POST /predict", "wait", "batch", "model"))
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{call.id}-01"
    assert (call.parent, call.service, call.failed) == (CALLER, "gas", False)
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["ascenso.release"] == answer.headers["x-model-version"]
    assert call.attributes["http.request.header.x-request-id"].values[0].string_value == "abc"
    assert (wait.parent, batch.parent, model.parent) == (call.id, call.id, batch.id)
    assert (batch.links, wait.links) == ([call.id], [batch.id])
    assert call.began <= wait.began <= wait.ended == batch.began <= model.began
    assert model.ended <= batch.ended <= call.ended
    assert batch.attributes["ascenso.model"] == "contugas-anomaly"


def test_a_batch_of_several_calls_is_linked_to_each(
    client: httpx.Client, collector: Collector
) -> None:
    def call(_: int) -> None:
        headers = {"traceparent": f"00-{token_hex(16)}-{CALLER}-01"}
        client.post("/predict", json=READING, headers=headers).raise_for_status()

    def together() -> Span | None:
        with ThreadPoolExecutor(16) as callers:
            list(callers.map(call, range(64)))
        return next((b for b in batches(collector) if b.attributes["ascenso.calls"] > 1), None)

    wait_for(together, 120)
    batch = together()
    assert batch is not None
    assert (batch.parent, len(batch.links)) == ("", batch.attributes["ascenso.calls"])
    wait_for(lambda: set(batch.links) <= {span.id for span in collector.spans}, 30)
    calls = [span for span in collector.spans if span.id in batch.links]
    waits = {span.parent: span for span in collector.spans if span.name == "wait"}
    assert {call.name for call in calls} == {"POST /predict"}
    assert all(waits[call.id].links == [batch.id] for call in calls)
    assert len({call.trace for call in calls} | {batch.trace}) == len(calls) + 1


def test_probes_are_not_traced_and_what_nobody_answers_has_no_route(
    client: httpx.Client, collector: Collector
) -> None:
    client.get("/readyz")
    unsampled = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
    assert "traceresponse" not in client.post("/predict", json=READING, headers=unsampled).headers
    sampled = {"traceparent": f"00-{token_hex(16)}-{CALLER}-01"}
    answer = client.get("/no/such/place", headers=sampled)
    trace = answer.headers["traceresponse"].split("-")[1]
    wait_for(lambda: collector.of(trace), 30)
    assert collector.of(trace).keys() == {"GET"}
    assert not [span for span in collector.spans if "readyz" in str(span.attributes)]


def test_a_promotion_shows_its_steps(client: httpx.Client, collector: Collector) -> None:
    def swapped() -> list[Span]:  # a try may have been put off before, by a slow registry
        promotions = [span for span in collector.spans if span.name == "promotion"]
        return [span for span in promotions if "swap" in collector.of(span.trace)]

    wait_for(swapped, 30)
    (whole,) = swapped()
    spans = collector.of(whole.trace)
    assert whole.parent == ""
    assert whole.attributes["ascenso.model"] == "contugas-anomaly"
    assert [name for name in STEPS if name not in spans] == []
    assert {spans[n].parent for n in ("fetch", "verify", "compile")} == {spans["admission"].id}
    assert spans["swap"].parent == whole.id
    began = [spans[name].began for name in STEPS if name != "open"]
    assert began == sorted(began)
    assert "GET mlflow/model-versions/get-download-uri" in spans
