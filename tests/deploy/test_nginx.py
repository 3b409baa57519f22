"""deploy/nginx: which calls another replica may get; tests/e2e/test_replicas.py restarts some."""

from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from tests.e2e.replicas import proxy

calls: list[str] = []


class Breaking(BaseHTTPRequestHandler):
    """A replica that breaks off the first POST; whichever gets the next one answers it."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        """Answer, but for the first."""
        self.rfile.read(int(self.headers["content-length"]))
        calls.append(self.path)
        if len(calls) > 1:
            self.do_GET()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    calls.clear()
    with ExitStack() as stack:
        servers = [ThreadingHTTPServer(("127.0.0.1", 0), Breaking) for _ in range(3)]
        for server in servers:
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield stack.enter_context(proxy(tmp_path, [server.server_port for server in servers]))


@pytest.mark.parametrize("path", ["/contugas/predict", "/itransformer/predict"])
def test_a_prediction_that_breaks_off_is_asked_of_another(url: str, path: str) -> None:
    assert httpx.post(url + path, content=b"x", timeout=60).status_code == 200
    assert calls == [path, path]


@pytest.mark.parametrize("name", ["train", "fine_tuning", "upload_model"])
def test_what_may_have_begun_is_not_begun_again(url: str, name: str) -> None:
    answer = httpx.post(f"{url}/itransformer/{name}", content=b"x", timeout=60)
    assert answer.status_code == 502
    assert calls == [f"/itransformer/{name}"]


def test_an_upload_may_be_larger_than_a_prediction(url: str) -> None:
    calls.append("none breaks off")
    large = b"x" * (6 * 1024**2)
    for path, status in (("upload_model", 200), ("predict", 413)):
        answer = httpx.post(f"{url}/itransformer/{path}", content=large, timeout=60)
        assert answer.status_code == status
