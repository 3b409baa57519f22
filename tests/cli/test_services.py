"""Which service is asked about a model that none has a slot of."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bentos.cli.errors import Failed
from bentos.cli.services import Services
from tests.web.serving import serving

EVENT = {
    "at": "2026-01-01T00:00:00.000000+00:00", "replica": "host-1", "channel": "stage Production",
    "model": "gone", "version": "1", "run_id": "", "digest": "", "what": "vacated", "who": "",
    "why": "",
}  # fmt: skip


@pytest.fixture(params=["*", "?*", "g*"])
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    """One that makes slots of any name, and has had one of the model `gone`."""
    slot = {"model": "wine", "channel": "stage Production"}
    service = {"service": "models", "releases": [slot], "racks": [request.param]}

    async def releases(request: Request) -> Response:
        return JSONResponse([service | {"excluded": ["gas*"]}])

    async def history(request: Request) -> Response:
        if request.query_params["model"] != "gone":
            return JSONResponse({"detail": "No slot here is named so"}, 404)
        return JSONResponse({"model": "gone", "events": [EVENT]})

    routes = [Route("/releases", releases), Route("/models/history", history)]
    with serving(Starlette(routes=routes)) as url, closing(Services(url)) as opened:
        yield opened


def test_a_model_that_is_gone_has_its_history(services: Services) -> None:
    (service,) = services.of("gone")
    assert [event.what for event in services.history(service, "gone", 5).events] == ["vacated"]


def test_a_name_that_nobody_ever_had_is_named(services: Services) -> None:
    (service,) = services.of("grape")
    with pytest.raises(Failed, match="has a slot of 'grape'; there is wine, "):
        services.history(service, "grape", 5)


def test_a_name_that_is_kept_out_has_no_service(services: Services) -> None:
    with pytest.raises(Failed, match="has a slot of 'gas-2'; there is wine, "):
        services.of("gas-2")
