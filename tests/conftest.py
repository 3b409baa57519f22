"""What all tests share."""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from deploy.local.settings import ROOT
from tests import certificates
from tests.stack import Stack, running

TESTS = Path(__file__).parent
APART = "web"  # the folder whose modules share no servers: they even out what the others take

# Whoever imports a guarded service needs a key.
os.environ.setdefault("ASCENSO_SECURITY__SECRET", secrets.token_hex(32))
# The tests keep all processors busy, which would hold up the processes that judge.
os.environ.setdefault("ASCENSO_ADMISSION__NICENESS", "0")


def pytest_configure() -> None:
    """Let a terminated run stop its servers, as Ctrl-C does, and let calls cost what they must."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    certificates.share()


class ByServers(LoadScopeScheduling):  # type: ignore[misc]
    """Keeps the tests that share servers in one of xdist's processes.

    xdist's own groups are lost on pytest 9.2, which makes the ids that they hang on anew.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = ROOT / nodeid.partition("::")[0]
        asking = [file, *({file.with_name("conftest.py")} - {TESTS / "conftest.py"})]
        if any("stack: Stack" in path.read_text() for path in asking if path.exists()):
            return "stack"
        inside = file.relative_to(TESTS)
        return str(inside) if inside.parts[0] == APART else inside.parts[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByServers:
    """What xdist asks for with `-n`."""
    return ByServers(config, log)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real stack, as `make up` starts it, with the first version of each model serving."""
    with running(tmp_path_factory.mktemp("stack") / "home") as stack:
        yield stack
