"""The same sequences of clicks on a registry made of rules alone, and on the real one.

A sequence is a text: `1+` promotes version 1 with "archive existing" left unticked, `1!` with it
ticked, `1-` archives it, `1~` edits its description, `1s` moves it to Staging, `1x` deletes it,
`1@` points the alias champion to it, `@` removes the alias, `m` edits the description of the
model, `n` registers one more version, `*` is a look.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import pytest

from bentos.promotion.channel import Promotions, resolve
from bentos.registry.client import Alias, Model, Registry, Tag, Version
from bentos.registry.tags import STATE_TAG
from bentos.settings import Channel

PRODUCTION = Channel(stage="Production")
CHAMPION = Channel(alias="champion")
NEWEST = Channel(newest=True, aliases=["champion"])

WITH_MEMORY = [  # looked at after every click
    ("1+ 2+", "2"),
    ("2+ 1+", "1"),
    ("3+ 1+ 2+", "2"),
    ("3+ 2+ 1+", "1"),
    ("2+ 1+ 1~", "1"),
    ("2+ 1+ 2~", "1"),
    ("2+ 1+ 1~ 2~", "1"),
    ("1+ 2+ 1~ 2~ 1~", "2"),
    ("2+ 1+ m", "1"),
    ("2+ 1+ n 2~ m", "1"),
    ("2+ 1+ 3s", "1"),
    ("1+ 2+ 1+", "1"),
    ("1+ 2+ 1+ 2~", "1"),
    ("1+ 2+ 3+ 3-", "2"),
    ("3+ 2+ 1+ 1-", "2"),
    ("3+ 2+ 1+ 2-", "1"),
    ("3+ 2+ 1+ 1x", "2"),
    ("1+ 2! 1!", "1"),
    ("2+ 1+ 3!", "3"),
    ("1+ 2s 2+", "2"),
    ("2+ 1+ 2- 2+", "2"),
    ("1+ 1-", None),
    ("1+ 1x", None),
    ("n", None),
]
WITHOUT_MEMORY = [  # looked at once, at the end
    ("1+ 2+", "2"),
    ("2+ 1+", "1"),
    ("3+ 1+ 2+", "2"),
    ("2+ 1+ 2~", "1"),
    ("2+ 1+ 1~", "1"),
    ("2+ 1+ n", "1"),
    ("2+ 1+ m", "1"),
    ("1+ 2+ 1+", "1"),
    ("2+ 1+ 3!", "3"),
    ("2+ 1+ 1-", "2"),
]
SEEN_NOW_AND_THEN = [
    ("1+ * 3+ 2+ *", "2"),
    ("1+ 2+ * 1+ 2~ *", "1"),
    ("1+ * 2+ 1~ *", "2"),
    ("1+ 2+ * 2- 2+ 1~ *", "2"),
    ("2+ * 1+ n *", "1"),
    ("3+ 2+ * 2- 1+ 3~ *", "1"),
]


class Registered(Protocol):
    """One registered model with the versions 1 to 3."""

    def click(self, click: str) -> None: ...

    def model(self) -> Model: ...

    def versions(self) -> list[Version]: ...

    def mark_live(self, version: str) -> None: ...


def changing(version: str, **changes: object) -> Callable[[Version], Version]:
    def change(known: Version) -> Version:
        changed: Version = msgspec.structs.replace(known, **changes)
        return changed if known.version == version else known

    return change


@dataclass
class Rules:
    """What MLflow 3 writes: a transition stamps version and model, an edit only one of them."""

    clock: int = 3
    stamp: int = 3
    known: list[Version] = field(
        default_factory=lambda: [Version("rules", str(n), n, n) for n in (1, 2, 3)]
    )
    champion: str = ""

    def click(self, click: str) -> None:
        self.clock += 1
        version, what = click[:-1], click[-1]
        stamps = {
            "+": {"stage": "Production"},
            "!": {"stage": "Production"},
            "-": {"stage": "Archived"},
            "s": {"stage": "Staging"},
        }
        if what == "!":
            for other in [v.version for v in self.known if v.stage == "Production"]:
                self._change(changing(other, stage="Archived", last_updated_timestamp=self.clock))
        if what in stamps:
            change = stamps[what] | {"last_updated_timestamp": self.clock}
            self._change(changing(version, **change))
        if what == "~":
            self._change(changing(version, last_updated_timestamp=self.clock))
        if what == "x":
            self.known = [v for v in self.known if v.version != version]
        if what == "n":
            number = str(len(self.known) + 1)
            self.known.append(Version("rules", number, self.clock, self.clock))
        if what == "@":
            self.champion = version
        elif what != "~":
            self.stamp = self.clock

    def model(self) -> Model:
        aliases = (Alias("champion", self.champion),) if self.champion else ()
        latest = {version.stage: version for version in self.known}.values()
        return Model("rules", self.stamp, tuple(latest), aliases)

    def versions(self) -> list[Version]:
        return self.known

    def mark_live(self, version: str) -> None:
        self._change(changing(version, tags=(Tag(STATE_TAG, "live"),)))

    def _change(self, change: Callable[[Version], Version]) -> None:
        self.known = [change(version) for version in self.known]


class Real:
    """The real registry; only its REST API is used."""

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry = registry
        self.name = name
        self._call("POST", "registered-models/create", name=name)
        for _ in range(3):
            self._create()

    def click(self, click: str) -> None:
        version, what = click[:-1], click[-1]
        stages = {"+": "Production", "!": "Production", "-": "Archived", "s": "Staging"}
        one = {"name": self.name, "version": version}
        if what in stages:
            path, ticked = "model-versions/transition-stage", what == "!"
            move = {"stage": stages[what], "archive_existing_versions": ticked}
            self._call("POST", path, **one | move)
        elif what == "~":
            self._call("PATCH", "model-versions/update", **one, description=click)
        elif what == "x":
            self._call("DELETE", "model-versions/delete", **one)
        elif what == "m":
            self._call("PATCH", "registered-models/update", name=self.name, description="new")
        elif what == "n":
            self._create()
        elif version:
            self.registry.set_alias(self.name, version, "champion")
        else:
            self._call("DELETE", "registered-models/alias", name=self.name, alias="champion")

    def model(self) -> Model:
        return self.registry.models()[self.name]

    def versions(self) -> list[Version]:
        return self.registry.versions(self.name)

    def mark_live(self, version: str) -> None:
        self.registry.set_tag(Version(self.name, version), STATE_TAG, "live")

    def _create(self) -> None:
        self._call("POST", "model-versions/create", name=self.name, source="s3://models/nowhere")

    def _call(self, method: str, path: str, **body: object) -> None:
        self.registry.http.request(method, f"mlflow/{path}", json=body).raise_for_status()


@pytest.fixture(params=["rules", "real"])
def registered(request: pytest.FixtureRequest) -> Registered:
    if request.param == "rules":
        return Rules()
    return Real(request.getfixturevalue("registry"), request.node.name)


def watched(registered: Registered, clicks: str, channel: Channel = PRODUCTION) -> str | None:
    """What serves after these clicks, each `*` being a look."""
    seen: Promotions | None = None
    for click in clicks.split():
        if click == "*":
            seen = resolve(registered.model(), channel, registered.versions, seen)
        else:
            registered.click(click)
    assert seen is not None
    return seen.target


@pytest.mark.parametrize(("clicks", "serves"), WITH_MEMORY)
def test_the_last_promotion_wins(registered: Registered, clicks: str, serves: str | None) -> None:
    assert watched(registered, clicks.replace(" ", " * ") + " *") == serves


@pytest.mark.parametrize(("clicks", "serves"), WITHOUT_MEMORY)
def test_the_last_promotion_wins_at_first_sight(
    registered: Registered, clicks: str, serves: str
) -> None:
    assert watched(registered, clicks + " *") == serves


@pytest.mark.parametrize(("clicks", "serves"), SEEN_NOW_AND_THEN)
def test_several_clicks_between_looks(registered: Registered, clicks: str, serves: str) -> None:
    assert watched(registered, clicks) == serves


@pytest.mark.parametrize("live", ["1", "2"])
def test_at_first_sight_what_is_marked_live_goes_on(registered: Registered, live: str) -> None:
    """Both were edited since: no timestamp tells any more which one was promoted last."""
    for click in ("2+", "1+", "1~", "2~"):
        registered.click(click)
    registered.mark_live(live)
    assert watched(registered, "*") == live


@pytest.mark.parametrize(
    ("clicks", "serves"),
    [
        ("1@ * 2@ *", "2"),
        ("2@ * 1@ *", "1"),
        ("1@ * 2+ 2~ m *", "1"),
        ("1@ *", "1"),
        ("*", None),
        ("2@ * @ *", None),
    ],
)
def test_an_alias_names_its_version(
    registered: Registered, clicks: str, serves: str | None
) -> None:
    assert watched(registered, clicks, CHAMPION) == serves


@pytest.mark.parametrize(
    ("clicks", "serves"),
    [
        ("*", "3"),
        ("* 1+ 2~ m *", "3"),
        ("* n *", "4"),
        ("3- *", "2"),
        ("3x *", "2"),
        ("1+ 2s 3- *", "2"),
        ("1@ *", "1"),
        ("1@ * n *", "1"),
        ("1@ * @ *", "3"),
        ("1- 2- 3- *", None),
    ],
)
def test_the_newest_serves_unless_an_alias_names_another(
    registered: Registered, clicks: str, serves: str | None
) -> None:
    assert watched(registered, clicks, NEWEST) == serves


def test_deleting_a_version_takes_its_alias(registry: Registry) -> None:
    assert watched(Real(registry, "alias-of-a-deleted"), "2@ * 2x *", CHAMPION) is None


def test_versions_are_asked_for_only_after_a_change(registered: Registered) -> None:
    registered.click("1+")
    seen = resolve(registered.model(), PRODUCTION, registered.versions)

    def never() -> list[Version]:
        raise AssertionError("nothing changed")

    assert resolve(registered.model(), PRODUCTION, never, seen) is seen
    registered.click("1~")
    registered.mark_live("1")
    assert resolve(registered.model(), PRODUCTION, never, seen) is seen
    registered.click("2+")
    assert resolve(registered.model(), PRODUCTION, registered.versions, seen).order == ("1", "2")


def test_the_other_stage_is_another_channel(registered: Registered) -> None:
    for click in ("3s", "1+", "2s"):
        registered.click(click)
    assert watched(registered, "*", Channel(stage="Staging")) == "2"
    assert watched(registered, "*") == "1"
