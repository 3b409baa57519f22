"""What an admin does on the console, and what is refused there; the rest is seen in tests/e2e."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from bentos.promotion.ledger import Ledger
from bentos.registry.client import NotInRegistry, RegistryUnavailable, Tag
from bentos.registry.tags import PROMOTED_BY_TAG, STATE_TAG
from bentos.serving.trial import Trial
from bentos.settings import ChallengerSettings
from bentos.version import Version
from tests.memory import doubled, release
from tests.web.guarded import PASSWORD, bearer, secured, users_of
from tests.web.serving import serving
from tests.web.small import small_app, small_slot

HTML = {"accept": "text/html"}


class Registry:
    """Keeps what is asked of it; raises what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.error: Exception | None = None
        self.known = [
            Version("adder", "1", tags=(Tag(STATE_TAG, "retired"),)),
            Version("adder", "2", tags=(Tag(STATE_TAG, "retired"),)),
        ]

    def versions(self, name: str) -> list[Version]:
        if self.error:
            raise self.error
        return self.known

    def model(self, name: str) -> Any:
        return SimpleNamespace(alias=lambda alias: None)

    def set_tag(self, version: Version, key: str, value: str) -> None:
        if self.error:
            raise self.error
        self.asked.append((str(version), key, value))

    def promote(self, name: str, version: str, stage: str) -> Version:
        self.asked.append((f"{name}/{version}", stage))
        return Version(name, version)


class Site:
    """A small service, guarded or not, that follows the registry above."""

    def __init__(self, url: str, registry: Registry, ledger: Ledger) -> None:
        self.url = url
        self.registry = registry
        self.ledger = ledger

    def post(self, action: str, name: str = "ana", **form: str) -> httpx.Response:
        place = f"{self.url}/console/models/adder/{action}"
        return httpx.post(place, data=form, headers=HTML | bearer(self.url, name), timeout=60)

    def ask(self, action: str, name: str = "ana") -> httpx.Response:
        place = f"{self.url}/console/models/adder/{action}"
        return httpx.get(place, headers=HTML | bearer(self.url, name), timeout=60)


@contextmanager
def opened(home: Path) -> Iterator[Site]:
    settings = secured(home, login_rate="100/minute")
    for name, admin in (("ana", True), ("bea", False)):
        users_of(settings).add(name, PASSWORD, admin)
    slot = small_slot(version="2")
    trial: Any = Trial(slot, ChallengerSettings())
    slot.try_beside(trial)
    trial.slot.swap(release("3", doubled, name="adder"))
    app = small_app(slot, settings=settings)
    registry, ledger = Registry(), Ledger(home / "ledger.db")
    app.following.watcher = SimpleNamespace(  # type: ignore[assignment]
        registry=registry, ledger=ledger, trouble="", reload=lambda: None
    )
    with serving(app) as url:
        yield Site(url, registry, ledger)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("home")) as site:
        yield site


def test_what_is_confirmed_is_done_and_said(site: Site) -> None:
    asked = site.ask("rollback")
    assert "back to version 1?" in asked.text
    assert 'name="version" value="1"' in asked.text
    assert site.registry.asked == [], "a question changes nothing"
    done = site.post("rollback", version="1")
    assert (done.status_code, done.headers["location"]) == (303, "../../../console/models/adder")
    (_, tag, said), moved, *_ = site.registry.asked
    assert (tag, said.startswith("ana, stage Production, ")) == (PROMOTED_BY_TAG, True)
    assert moved == ("adder/1", "Production")


def test_share_and_look_stand_in_the_ledger_and_change_no_history(site: Site) -> None:
    assert "version 3 12.5 % of the calls?" in site.ask("share?percent=12.5").text
    assert site.post("share", percent="12.5", version="3").status_code == 303
    assert ("adder/3", "serving.traffic", "0.125") in site.registry.asked
    assert "for all of small?" in site.ask("reload").text
    assert site.post("reload").status_code == 303
    events = [(event.what, event.version, event.who) for event in site.ledger.history("adder")]
    assert events == [("share", "3", "ana"), ("reload", "2", "ana")]
    assert site.ledger.promoters() == {}


@pytest.mark.parametrize(
    ("action", "form", "status", "words"),
    [
        ("rollback", {"version": "9"}, 409, "did not serve"),
        ("rollback", {}, 409, "did not serve"),
        ("share", {"percent": "101", "version": "3"}, 422, "from 0 to 100"),
        ("share", {"percent": "nan", "version": "3"}, 422, "from 0 to 100"),
        ("share", {"percent": "5", "version": "4"}, 409, "is version 3 now"),
    ],
)
def test_what_cannot_be_done_is_said(
    site: Site, action: str, form: dict[str, str], status: int, words: str
) -> None:
    before = list(site.registry.asked)
    said = site.post(action, **form)
    assert said.status_code == status
    assert words in said.text
    assert site.registry.asked == before


@pytest.mark.parametrize(
    ("error", "status"), [(RegistryUnavailable("away"), 503), (NotInRegistry("gone"), 409)]
)
def test_a_registry_that_does_not_do_it_is_said(site: Site, error: Exception, status: int) -> None:
    site.registry.error = error
    try:
        assert site.post("rollback", version="1").status_code == status
        assert site.post("share", percent="1", version="3").status_code == status
    finally:
        site.registry.error = None


def test_only_admins_and_only_by_forms_of_their_own_session(site: Site) -> None:
    assert site.ask("rollback", "bea").status_code == 403
    assert site.post("rollback", "bea", version="1").status_code == 403
    place = "/console/models/adder/rollback"
    with httpx.Client(base_url=site.url, headers=HTML, timeout=60) as client:
        sent = client.post(place, data={"version": "1"})
        assert (sent.status_code, "console/login" in sent.headers["location"]) == (303, True)
        client.post("/console/login", data={"username": "ana", "password": PASSWORD})
        before = list(site.registry.asked)
        assert client.post(place, data={"version": "1"}).status_code == 403
        secret = re.findall('name="secret" value="(.*?)"', client.get(place).text)[-1]
        foreign = {"origin": "http://localhost:5000", "sec-fetch-site": "same-site"}
        form = {"version": "1", "secret": secret}
        assert client.post(place, data=form, headers=foreign).status_code == 403
        assert site.registry.asked == before
        assert client.post(place, data=form).status_code == 303
        assert site.registry.asked != before


def test_where_nothing_served_before_there_is_no_way_back(site: Site) -> None:
    known, site.registry.known = site.registry.known, []
    try:
        said = site.ask("rollback")
    finally:
        site.registry.known = known
    assert said.status_code == 409
    assert "No version of adder served before" in said.text
