"""Replicas that ask a relay, in front of a real MLflow and a real S3 server."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from bentos.registry.changes import VIA
from bentos.registry.client import NotInRegistry, Registry
from bentos.registry.sources import open_source
from bentos.relay.caller import Caller
from bentos.relay.shared import Shared
from bentos.relay.upstream import Upstream
from bentos.settings import RegistrySettings
from tests.serving.relays import Relay, counted, relaying
from tests.serving.servers import Server, Store, reading
from tests.serving.service import Open, Service
from tests.serving.versions import Shelf, state
from tests.stack import wait_for


@pytest.fixture
def relay(server: Server, registry: Registry, tmp_path: Path) -> Iterator[Relay]:
    with relaying(server.url, tmp_path / "relay") as relay:
        yield relay


def serves(replica: Service, number: int) -> bool:
    return replica.live == str(number)


def sees(replica: Service, name: str, there: bool) -> bool:
    """Whether the relay tells a replica that a model is there, or is not."""
    return (name in (replica.watcher.relayed.models() or {})) is there


def test_two_replicas_learn_of_a_promotion_from_one_look_and_one_download(
    relay: Relay, shelf: Shelf, open_service: Open
) -> None:
    replicas = [open_service(uri=relay.url, home=f"home{at}") for at in range(2)]
    asked: list[str] = []

    def note(request: httpx.Request) -> None:
        asked.append(request.url.path)

    for replica in replicas:
        replica.watcher.registry.http.event_hooks["request"] = [note]
        replica.start()
    wait_for(lambda: all(one.watcher.relayed.models() is not None for one in replicas), 60)
    fetched, kept = counted("files_total", found="fetched"), counted("files_total", found="kept")
    for number in (1, 2):
        shelf.promote(shelf.add(float(number)))
        for replica in replicas:
            wait_for(partial(serves, replica, number), 60)
    files = len(shelf.files(shelf.version(1))) + len(shelf.files(shelf.version(2)))
    assert counted("files_total", found="fetched") - fetched == files
    assert counted("files_total", found="kept") - kept == files
    assert not any("registered-models/search" in path for path in asked)
    other = {"name": f"{shelf.name}-other"}
    for method, path in (("POST", "create"), ("DELETE", "delete")):
        done = shelf.registry.http.request(method, f"mlflow/registered-models/{path}", json=other)
        assert done.is_success
        there = path == "create"
        for replica in replicas:
            wait_for(partial(sees, replica, other["name"], there), 60)


@pytest.mark.parametrize("direct", [False, True])
def test_replicas_go_on_without_the_relay_and_hear_of_it_again(
    direct: bool, relay: Relay, server: Server, shelf: Shelf, open_service: Open
) -> None:
    replica = open_service(uri=relay.url, registry={"direct": server.url if direct else ""})
    shelf.promote(shelf.add(1.0))
    replica.start()
    wait_for(lambda: replica.live == "1", 60)
    relay.kill()
    shelf.promote(shelf.add(2.0))
    wait_for(lambda: replica.live == "2" if direct else replica.watcher.trouble, 60)
    assert replica.ask(1.0) == ((2.0, "2") if direct else (1.0, "1"))
    relay.start()
    wait_for(lambda: replica.live == "2" and replica.watcher.relayed.models() is not None, 60)
    wait_for(lambda: not replica.watcher.trouble, 60)
    shelf.promote(shelf.add(3.0))
    wait_for(lambda: replica.live == "3", 60)


def test_what_was_repaired_in_the_store_is_fetched_past_what_is_kept(
    relay: Relay, shelf: Shelf, store: Store, open_service: Open
) -> None:
    replica = open_service(uri=relay.url)
    shelf.promote(shelf.add(1.0))
    replica.look()
    version = shelf.add(2.0)
    key = shelf.key(version, "model.skops")
    good = store.get(key)
    store.put(key, b"overwritten by accident")
    shelf.promote(version)
    replica.look()
    assert state(shelf, 2) == "refused"
    store.put(key, good)
    shelf.promote(version, to="Staging")
    shelf.promote(version)
    replica.look()
    assert replica.ask(1.0) == (2.0, "2")


def test_everything_else_is_mlflows_own_answer(relay: Relay, shelf: Shelf, store: Store) -> None:
    version = shelf.add(1.0)
    uri = shelf.registry.artifact_uri(version)
    with reading(relay.url) as through:
        through.set_tag(version, "said", "á")
        assert shelf.version(1).tag("said") == "á"
        assert through.models(name=shelf.name) == shelf.registry.models(name=shelf.name)
        with pytest.raises(NotInRegistry):
            through.model("no such model")
        source = open_source(through, RegistrySettings(), uri)
        for name in source.names():
            assert b"".join(source.chunks(name)) == store.get(shelf.key(version, name))
        place = f"mlflow-artifacts/artifacts/{shelf.key(version, 'MLmodel')}"
        lost = [one.http.get(f"{place}.lost") for one in (through, shelf.registry)]
        assert (lost[0].status_code, lost[0].text) == (lost[1].status_code, lost[1].text)
        assert through.http.put(place, content=b"other").is_success
        assert through.http.get(place).content == b"other"
        ranged = through.http.get(place, headers={"range": "bytes=0-1"})
        asked = shelf.registry.http.get(place, headers={"range": "bytes=0-1"})
        assert (ranged.status_code, ranged.content) == (asked.status_code, asked.content)
    answers = [httpx.get(f"{url}/version") for url in (relay.url, shelf.registry.uri)]
    assert answers[0].content == answers[1].content
    assert [VIA in answer.headers.get("via", "") for answer in answers] == [True, False]


def test_a_relay_in_front_of_itself_is_told_so(relay: Relay, tmp_path: Path) -> None:
    with relaying(relay.url, tmp_path / "second") as second:
        answer = httpx.get(f"{second.url}/version")
    assert answer.status_code == 508
    assert f"{relay.url}" in answer.text or "relay" in answer.text


def test_mlflow_away_is_told_by_its_address_and_nothing_else(tmp_path: Path) -> None:
    with relaying("http://user:hidden@127.0.0.1:9", tmp_path / "relay") as relay:
        headers = {"prefer": "wait=1", "a-im": "ascenso-models"}
        search = f"{relay.url}/api/2.0/mlflow/registered-models/search"
        for answer in (httpx.get(f"{relay.url}/version"), httpx.get(search, headers=headers)):
            assert answer.status_code == 502
            assert "MLflow at http://127.0.0.1:9 does not answer" in answer.json()["message"]
            assert "hidden" not in answer.text
        assert httpx.get(f"{relay.url}/livez").text == "alive\n"
        assert "ascenso_relay_looks_total" in httpx.get(f"{relay.url}/metrics").text


@pytest.mark.anyio
async def test_those_of_one_account_who_ask_at_once_are_answered_by_one_question() -> None:
    asked: list[tuple[str, str]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.headers["authorization"], request.url.path))
        await asyncio.sleep(0)
        return httpx.Response(200 if request.url.path == "/there" else 403, content=b"{}")

    upstream = Upstream("http://mlflow")
    await upstream.close()
    upstream._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    shared = Shared(upstream)
    gina, hana = (Caller([(b"authorization", name)]) for name in (b"gina", b"hana"))
    gets = [shared.get(gina, b"/there") for _ in range(3)]
    gets += [shared.get(hana, b"/there"), shared.get(gina, b"/hers")]
    found = await asyncio.gather(*gets)
    assert [one is not None for one in found] == [True, True, True, True, False]
    assert asked == [("gina", "/there"), ("hana", "/there"), ("gina", "/hers")]
    assert await shared.get(gina, b"/there")
    assert len(asked) == 4  # nothing was kept
    await upstream.close()
