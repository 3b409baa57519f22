"""What looks at a real registry show, and how little they ask for."""

import pytest

from bentos.promotion.view import NEWEST, View
from bentos.registry.client import Model, Registry
from tests.serving.versions import Shelf

HOUR = 3600.0


@pytest.fixture
def shelves(registry: Registry, shelf: Shelf) -> list[Shelf]:
    """Models of this test, each with a version that needs no files."""
    made = [Shelf(registry, shelf.store, f"{shelf.name}-{at}") for at in range(NEWEST + 1)]
    for one in made:
        registry.http.post("mlflow/registered-models/create", json={"name": one.name})
        body = {"name": one.name, "source": "s3://models/nowhere"}
        registry.http.post("mlflow/model-versions/create", json=body).raise_for_status()
    return made


@pytest.fixture
def view(registry: Registry, shelves: list[Shelf], asked: list[str]) -> View:
    """One that has looked at everything and shall not do so for an hour."""
    view = View(registry, [], [""], HOUR)
    view.look()
    view._due += HOUR
    asked.clear()
    return view


@pytest.fixture
def asked(registry: Registry) -> list[str]:
    """What the registry was asked, call by call."""
    asked: list[str] = []
    registry.http.event_hooks["request"] = [
        lambda request: asked.append(request.url.query.decode())
    ]
    return asked


def stages(model: Model) -> list[str]:
    return [version.stage for version in model.latest_versions]


def test_where_nothing_moved_all_is_the_same_object(view: View, asked: list[str]) -> None:
    before = view.models
    assert view.look() is before
    assert len(asked) == 1
    assert f"max_results={NEWEST}&order_by" in asked[0]
    view.expire()
    assert view.look() is before


def test_a_promotion_by_stage_is_seen_at_once(
    view: View, shelves: list[Shelf], registry: Registry
) -> None:
    before = view.models
    registry.promote(shelves[0].name, "1", "Production")
    seen = view.look()
    assert stages(seen[shelves[0].name]) == ["Production"]
    others = seen.keys() - {shelves[0].name}
    assert all(seen[name] is before[name] for name in others)
    for one in shelves:
        registry.promote(one.name, "1", "Staging")
    assert [stages(view.look()[one.name]) for one in shelves] == [["Staging"]] * len(shelves)


def test_an_alias_is_seen_in_the_next_look_at_everything(
    view: View, shelves: list[Shelf], registry: Registry
) -> None:
    name = shelves[0].name  # which did not move last
    registry.set_alias(name, "1", "champion")
    assert view.look()[name].alias("champion") is None
    view.expire()
    assert view.look()[name].alias("champion") == "1"


def test_who_needs_few_asks_for_few(
    registry: Registry, shelves: list[Shelf], asked: list[str]
) -> None:
    names = [one.name for one in shelves]
    few = View(registry, names[:1], [], HOUR)
    assert few.look().keys() == {names[0]}
    assert View(registry, [], [names[0][:-1]], HOUR).look().keys() == set(names)
    assert not few.is_whole
    assert View(registry, names, [], HOUR).is_whole
    assert ["filter=name" in query for query in asked] == [True, True]
