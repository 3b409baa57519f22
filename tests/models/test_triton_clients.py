"""Triton's own clients, unchanged, against the running service."""

import asyncio
import inspect
import queue
import warnings
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from tritonclient.utils import InferenceServerException

from tests.models.conftest import Models
from tests.stack import until

with warnings.catch_warnings():  # mlflow warns about its own type hints
    warnings.simplefilter("ignore")
    import mlflow.sklearn

pytestmark = pytest.mark.anyio
NAME = "Metros (São Paulo)"
ROWS = np.random.default_rng(5).uniform(1, 9, (50, 2))
SLOPES = {"1": 1.0, "2": 3.0}  # by versions
HTTP, GRPC = tritonclient.http, tritonclient.grpc
CLIENTS = {"http": HTTP, "http-aio": HTTP.aio, "grpc": GRPC, "grpc-aio": GRPC.aio}


def fitted(slope: float) -> LinearRegression:
    return LinearRegression().fit(ROWS, slope * ROWS.sum(axis=1))


@pytest.fixture(scope="module")
def model(models: Models) -> Models:
    """The service, with version 1 of the model; its answer is the sum of a row's columns."""
    for slope in SLOPES.values():
        models.log(fitted(slope), NAME, mlflow.sklearn, serialization_format="skops")
    models.promote(NAME)
    models.served(NAME, ROWS.tolist())
    return models


@pytest.fixture(params=list(CLIENTS))
async def client(request: pytest.FixtureRequest, model: Models) -> AsyncIterator[Any]:
    made = client_of(CLIENTS[request.param], model)
    yield made
    await said(made.close())


def client_of(module: ModuleType, models: Models) -> Any:
    address = models.grpc if "grpc" in module.__name__ else models.url.removeprefix("http://")
    return module.InferenceServerClient(url=address)


async def said(answer: Any) -> Any:
    """What a client answers, whether it is an asynchronous one or not."""
    return await answer if inspect.isawaitable(answer) else answer


def inputs(client: Any, rows: NDArray[Any]) -> list[Any]:
    module = HTTP if "http" in type(client).__module__ else GRPC
    tensor = module.InferInput("input-0", list(rows.shape), "FP64")
    tensor.set_data_from_numpy(rows)
    return [tensor]


def field(answer: Any, name: str) -> Any:
    """HTTP answers dictionaries, gRPC messages."""
    return answer[name] if isinstance(answer, dict) else getattr(answer, name)


async def test_what_there_is(client: Any) -> None:
    assert await said(client.is_server_live())
    assert await said(client.is_model_ready(NAME))
    assert await said(client.is_model_ready(NAME, "1"))
    assert not await said(client.is_model_ready(NAME, "2"))
    assert not await said(client.is_model_ready("nobody"))
    assert field(await said(client.get_server_metadata()), "name") == "ascenso"
    described = await said(client.get_model_metadata(NAME))
    assert list(field(described, "versions")) == ["1"]
    (tensor,) = field(described, "inputs")
    assert (field(tensor, "name"), field(tensor, "datatype")) == ("input-0", "FP64")
    assert [int(size) for size in field(tensor, "shape")] == [-1, 2]
    config = await said(client.get_model_config(NAME))
    config = getattr(config, "config", config)
    (tensor,) = field(config, "input")
    assert [field(config, "name"), field(config, "max_batch_size")] == [NAME, 10_000]
    assert list(field(tensor, "dims")) == [2]
    assert field(tensor, "data_type") in ("TYPE_FP64", 12)  # as JSON has it, and as messages do
    index = await said(client.get_model_repository_index())
    (entry,) = [e for e in getattr(index, "models", index) if field(e, "name") == NAME]
    assert [field(entry, part) for part in ("version", "state")] == ["1", "READY"]


async def test_inference(client: Any) -> None:
    before = await counted(client)
    result = await said(client.infer(NAME, inputs(client, ROWS), request_id="7"))
    assert field(result.get_response(), "id") == "7"
    assert field(result.get_response(), "model_version") == "1"
    np.testing.assert_allclose(result.as_numpy("prediction"), ROWS.sum(axis=1))
    again = await said(client.infer(NAME, inputs(client, ROWS), model_version="1"))
    np.testing.assert_array_equal(again.as_numpy("prediction"), result.as_numpy("prediction"))
    assert await counted(client) == [before[0] + 2, before[1] + 2 * len(ROWS)]


async def counted(client: Any) -> list[int]:
    """The calls that were answered, and their rows."""
    statistics = await said(client.get_inference_statistics(NAME, "1"))
    (one,) = field(statistics, "model_stats")
    success = field(field(one, "inference_stats"), "success")
    return [int(field(success, "count")), int(field(one, "inference_count"))]


@pytest.mark.parametrize(
    ("name", "version", "columns", "message"),
    [
        ("nobody", "", 2, "No model 'nobody' is promoted. Those that are: "),
        ("nobody", "", 2, "Request for unknown model"),
        (NAME, "2", 2, "version '2' does not serve. Those that do: 1"),
        (NAME, "", 3, "its shape is [50, 3], not [-1, 2]"),
    ],
)
async def test_what_is_wrong_is_named(
    client: Any, name: str, version: str, columns: int, message: str
) -> None:
    rows = np.ones((len(ROWS), columns))
    with pytest.raises(InferenceServerException) as raised:
        await said(client.infer(name, inputs(client, rows), model_version=version))
    assert message in raised.value.message()


def version_of(result: Any) -> str:
    """Who answered, and rightly."""
    found: str = field(result.get_response(), "model_version")
    np.testing.assert_allclose(result.as_numpy("prediction"), SLOPES[found] * ROWS.sum(axis=1))
    return found


def as_published(models: Models) -> None:
    """What Triton's examples do beside plain calls.

    They are in https://github.com/triton-inference-server/client, src/python/examples.
    """
    http = client_of(HTTP, models)
    given = inputs(http, ROWS)
    given[0].set_data_from_numpy(ROWS, binary_data=False)
    for binary in (False, True):
        wanted = [HTTP.InferRequestedOutput("prediction", binary_data=binary)]
        for packing in (None, "gzip"):
            packed = {
                "request_compression_algorithm": packing,
                "response_compression_algorithm": packing,
                "query_params": {"test_1": 1},
                "headers": {"test": "1"},  # which the client changes
            }
            version_of(http.infer(NAME, given, outputs=wanted, **packed))
        version_of(http.async_infer(NAME, given, outputs=wanted).get_result())
    http.close()
    found: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def said(result: Any, error: Any) -> None:
        found.put((result, error))

    with client_of(GRPC, models) as client:
        given, wanted = inputs(client, ROWS), [GRPC.InferRequestedOutput("prediction")]
        options = {"compression_algorithm": "gzip", "client_timeout": 60}
        version_of(client.infer(NAME, given, outputs=wanted, headers={"test": "1"}, **options))
        client.async_infer(NAME, given, callback=said, outputs=wanted)
        client.start_stream(callback=said)
        for at in range(3):
            client.async_stream_infer(NAME, given, request_id=str(at), outputs=wanted)
        for _ in range(4):
            result, error = found.get(timeout=60)
            assert error is None
            version_of(result)
        client.stop_stream()


async def test_nothing_is_lost_while_versions_change(model: Models) -> None:
    clients = [client_of(module, model) for module in (GRPC.aio, GRPC.aio, GRPC.aio, HTTP.aio)]
    answered: dict[str, int] = {}
    ending = asyncio.Event()

    async def ask(client: Any, version: str) -> None:
        while not ending.is_set():
            result = await client.infer(NAME, inputs(client, ROWS), model_version=version)
            found = version_of(result)
            assert version in ("", found)
            answered[found] = answered.get(found, 0) + 1

    async def as_in_examples() -> None:
        while not ending.is_set():
            await asyncio.to_thread(as_published, model)

    async def promoted(version: str, stage: str, then: str) -> None:
        await asyncio.to_thread(model.promote, NAME, version, stage)
        until_then = answered.get(then, 0) + 50
        await until(lambda: answered.get(then, 0) > until_then or any(t.done() for t in tasks))

    tasks = [asyncio.create_task(ask(client, "")) for client in clients]
    tasks.append(asyncio.create_task(ask(clients[0], "1")))  # live, previous, and live again
    tasks.append(asyncio.create_task(as_in_examples()))
    await promoted("2", "Production", "2")
    await promoted("2", "Archived", "1")
    ending.set()
    await asyncio.gather(*tasks)
    for client in clients:
        await client.close()
