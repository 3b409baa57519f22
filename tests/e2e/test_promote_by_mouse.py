"""Someone clicks in the MLflow UI, and a client that never stops calling gets the new version."""

import os
from pathlib import Path

from tests.e2e.browser import VersionPage, browsing, in_sight
from tests.e2e.caller import Caller, allowed
from tests.e2e.conftest import Tell
from tests.e2e.service import MODEL, Service
from tests.e2e.versions import Versions
from tests.stack import Stack, wait_for

RATE = 50
NOTICED = 3.0  # seconds from the click to the first answer


def test_by_stage(stack: Stack, versions: Versions, tell: Tell) -> None:
    with Caller(f"{stack.api}/contugas/predict", versions, RATE) as caller, browsing() as page:
        version = VersionPage(page, stack.mlflow, MODEL, versions.new)
        version.show_stages()
        assert caller.version == versions.old
        clicked = version.move_to("Production")
        caller.wait_for(versions.new)
        wait_for(lambda: versions.tags(versions.new).get("serving.state") == "live", 120)
        page.reload()
        assert in_sight(page, "live since")
        if path := os.environ.get("README_SCREENSHOT"):
            page.screenshot(path=Path(path))
    check(caller, versions.new, clicked, tell)


def test_by_alias(stack: Stack, service: Service, versions: Versions, tell: Tell) -> None:
    with Caller(f"{service.url}/predict", versions, RATE) as caller, browsing() as page:
        version = VersionPage(page, stack.mlflow, MODEL, versions.new)
        assert caller.version == versions.old
        clicked = version.add_alias("steady")
        caller.wait_for(versions.new)
    check(caller, versions.new, clicked, tell)


def check(caller: Caller, version: str, clicked: float, tell: Tell) -> None:
    noticed = caller.first(version, clicked)
    tell(f"{noticed:.2f} s from the click to the first answer, amid {len(caller.calls)} calls")
    assert caller.errors == []
    assert caller.wrong == []
    assert noticed < allowed(NOTICED)
