"""MLflow's own scoring server beside ours: the same bodies to both, for seven models.

They differ only as the table in docs/protocols.md says.
"""

import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

import mlflow
from deploy.local.settings import ROOT
from tests.protocols import signed, standing
from tests.protocols.differences import DIFFERENT
from tests.protocols.sent import SAME, Sent
from tests.web.serving import serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its type hints
    from mlflow.pyfunc import scoring_server
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

LINE = re.compile(r"^\| ([^|]+) \| (\d[^|]*) \| (\d[^|]*) \| [^|]+ \|$", re.M)
CELL = re.compile(r"(\d+)(?: `(\w+)`)?")


class Answer(NamedTuple):
    """What a server says: its predictions, or the code of its error."""

    status: int
    said: Any

    def like(self, other: "Answer") -> bool:
        if self.status == other.status == 200 and isinstance(self.said[0], float):
            theirs = np.array(other.said, dtype=float)
            return bool(np.allclose(theirs, self.said, rtol=1e-9))
        return self == other

    def fits(self, cell: str) -> bool:
        """Whether a cell of the table says this: a status, and perhaps a code."""
        status, code = CELL.match(cell).groups()  # type: ignore[union-attr]
        return int(status) == self.status and code in (None, self.said)


class Both(NamedTuple):
    """MLflow's servers, one a model, and ours."""

    theirs: httpx.Client
    ours: httpx.Client

    def answers(self, sent: Sent) -> tuple[Answer, Answer]:
        theirs, ours = (_posted(server, sent) for server in self)
        if ours.status_code != 200:
            assert ours.json().keys() == {"error_code", "message"}
        return _read(theirs), _read(ours)


def _posted(server: httpx.Client, sent: Sent) -> httpx.Response:
    headers = {"content-type": sent.kind}
    return server.post(f"{sent.model}/invocations", content=sent.content, headers=headers)


def _read(said: httpx.Response) -> Answer:
    if said.headers["content-type"] != "application/json":
        return Answer(said.status_code, said.text)
    body = said.json()
    return Answer(said.status_code, body.get("predictions", body.get("error_code")))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder, models, theirs = tmp_path_factory.mktemp("signed"), standing.app(), Starlette()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # which `init` sets
        for name in signed.MODELS:
            place = signed.save(name, folder)
            standing.stand(models, name, place)
            loaded = mlflow.pyfunc.load_model(str(place))
            theirs.mount(f"/{name}", scoring_server.init(loaded))
        with (
            serving(theirs) as their_url,
            serving(models) as our_url,
            _client(their_url) as one,
            _client(our_url) as other,
        ):
            yield Both(one, other)


def _client(url: str) -> httpx.Client:
    """One that calls on new connections: MLflow's server ends one on which it failed, late."""
    return httpx.Client(base_url=url, timeout=60, headers={"connection": "close"})


@pytest.fixture(autouse=True, scope="module")
def usual_depth() -> Iterator[None]:
    """How deep MLflow's own JSON may be nested: libraries that other tests import change it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture(scope="module")
def table() -> dict[str, tuple[str, str]]:
    """The differences on purpose: what MLflow's server says, and what ours says."""
    page = (ROOT / "docs" / "protocols.md").read_text()
    return {sent: (theirs, ours) for sent, theirs, ours in LINE.findall(page)}


@pytest.mark.filterwarnings("ignore")  # mlflow's own, of every wrong body another
@pytest.mark.parametrize("sent", SAME, ids=[str(at) for at in range(len(SAME))])
def test_both_say_the_same(both: Both, sent: Sent) -> None:
    theirs, ours = both.answers(sent)
    assert ours.like(theirs), (sent, theirs, ours)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("what", "sent"), [(what, sent) for what in DIFFERENT for sent in DIFFERENT[what]]
)
def test_they_differ_as_the_table_says(
    both: Both, table: dict[str, tuple[str, str]], what: str, sent: Sent
) -> None:
    theirs, ours = both.answers(sent)
    assert not ours.like(theirs), "the table names a difference that is none any more"
    for answer, cell in zip((theirs, ours), table[what], strict=True):
        assert answer.fits(cell), (sent, answer, cell)


def test_a_model_that_is_served_alone_is_one_for_mlflows_client(tmp_path: Path) -> None:
    app = standing.app(alone="matrix")
    assert not app.following.racks[0].holds("matrix 2")
    with serving(app) as url:
        place = httpx.URL(url)
        client: Any = ScoringServerClient(place.host, place.port)  # type: ignore[no-untyped-call]
        with pytest.raises(Exception, match="ping failed"):
            client.ping()
        standing.stand(app, "matrix", signed.save("matrix", tmp_path))
        client.wait_server_ready()
        assert client.get_version() == mlflow.__version__
        pairs = np.array([[1.5, 2], [3, 4.5]])
        answer = client.invoke(pairs).get_predictions()
        with pytest.raises(Exception, match="a list of 1 is not of 2"):
            client.invoke(pairs[:, :1])
        assert httpx.get(f"{url}/health").status_code == 200
    np.testing.assert_allclose(answer[0], [21, 43.5], rtol=1e-9)


def test_of_several_models_one_is_named() -> None:
    with serving(standing.app()) as url:
        said = httpx.post(f"{url}/invocations", json={"inputs": [1]})
    assert (said.status_code, said.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "/NAME/invocations" in said.json()["message"]


def test_each_line_of_the_table_is_tried(table: dict[str, tuple[str, str]]) -> None:
    assert table.keys() == DIFFERENT.keys()
