"""Where a channel is pointed to, by MLflow's buttons and by each of our own ways, it leads."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from bentos.itransformer.catalog import Catalog
from bentos.promotion.channel import BY_ALIAS, Promotions, cause, point
from bentos.registry.client import Registry, Version
from bentos.registry.runs import Runs
from bentos.registry.tags import STATE_TAG
from bentos.settings import Channel
from bentos.version import DIGEST_TAG
from mlflow import MlflowClient
from tests.serving.servers import Server, Store
from tests.serving.service import Open, settings
from tests.serving.versions import Shelf
from training import tracking
from training.itransformer import train
from training.itransformer.names import PREFIX

NEWEST = Channel(newest=True, aliases=["production", "champion"])
CHAMPION = Channel(alias="champion")


def published(shelf: Shelf, version: Version) -> str:
    """What MLflow's button *Promote model* does; gives the name of the model that it fills."""
    name = f"prod.{shelf.name}"
    MlflowClient().copy_model_version(f"models:/{version.name}/{version.version}", name)
    return name


@pytest.fixture
def prod(shelf: Shelf, registry: Registry, store: Store) -> Shelf:
    """The model that others are copied into."""
    return Shelf(registry, store, f"prod.{shelf.name}")


def test_the_button_promote_model_is_a_promotion(
    shelf: Shelf, prod: Shelf, open_service: Open
) -> None:
    service = open_service(NEWEST, model=prod.name)
    assert service.settings.channel(prod.name) == NEWEST
    for slope, number in ((1.0, "1"), (2.0, "2")):
        first = published(shelf, shelf.add(slope))
        service.look()
        assert service.ask(1.0) == (slope, number)
    live = service.slot.live
    assert first == prod.name
    assert live
    assert live.version.digest == shelf.version(2).digest
    assert prod.version(2).tag("ascenso").startswith("live since")
    assert prod.version(1).tag("serving.reason") == f"replaced by {prod.name}/2"


def test_going_back_copies_the_old_version(
    shelf: Shelf, prod: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(NEWEST, model=prod.name)
    for slope in (1.0, 2.0):
        published(shelf, shelf.add(slope))
        service.look()
    copied = point(registry, prod.version(1), NEWEST, "ana")
    assert (copied.name, copied.version) == (prod.name, "3")
    assert copied.tag("serving.state") == "", "a copy says nothing of what it was copied from"
    service.look()
    assert service.ask(1.0) == (1.0, "3")
    assert point(registry, prod.version(3), NEWEST, "ana").version == "3", "it is the newest"
    last = service.watcher.ledger.history(prod.name)[-1]
    assert (last.version, last.who, last.why) == ("3", "ana", "it is the newest version")


def test_an_alias_holds_the_newest_back(
    shelf: Shelf, prod: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(NEWEST, model=prod.name)
    for slope in (1.0, 2.0):
        published(shelf, shelf.add(slope))
    registry.set_alias(prod.name, "1", "champion")
    service.look()
    assert service.ask(1.0) == (1.0, "1")
    assert point(registry, prod.version(2), NEWEST, "ana").version == "2"
    service.look()
    assert service.ask(1.0) == (2.0, "2")
    assert registry.model(prod.name).alias("champion") == "2"


def test_the_command_copies_to_another_model(
    shelf: Shelf, prod: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(NEWEST, model=prod.name)
    copied = point(registry, shelf.add(3.0), NEWEST, "ana", prod.name)
    service.look()
    assert service.ask(1.0) == (3.0, "1")
    assert (copied.name, copied.run_id) == (prod.name, shelf.version(1).run_id)


@pytest.mark.parametrize("channel", [CHAMPION, NEWEST], ids=str)
def test_a_training_promotes_where_the_services_look(
    shelf: Shelf, open_service: Open, monkeypatch: pytest.MonkeyPatch, channel: Channel
) -> None:
    monkeypatch.setenv("ASCENSO_CHANNELS", f'{{"{shelf.name}": {channel.model_dump_json()}}}')
    service = open_service(channel)
    shelf.add(1.0)
    shelf.add(2.0)
    tracking.promote(MlflowClient().get_model_version(shelf.name, "1"))
    service.look()
    assert service.ask(1.0)[0] == 1.0


def test_a_training_and_the_services_mean_the_same_tags() -> None:
    assert (tracking.DIGEST_TAG, train.STATE_TAG) == (DIGEST_TAG, STATE_TAG)


@pytest.fixture
def forecaster(shelf: Shelf) -> Shelf:
    """A model named as a forecaster is."""
    name = re.sub(r"\W", "", shelf.name)[-20:]
    return Shelf(shelf.registry, shelf.store, f"{PREFIX}{name}")


def test_what_is_listed_and_fine_tuned_is_what_serves(
    forecaster: Shelf, server: Server, open_service: Open, tmp_path: Path
) -> None:
    """Version 1 is promoted last, and the others were left in Production."""
    service = open_service(model=forecaster.name)
    for number in ("2", "3", "1"):
        while len(forecaster.registry.versions(forecaster.name)) < 3:
            forecaster.add()
        forecaster.promote(number)
        service.look()
    name = forecaster.name.removeprefix(PREFIX)
    runs = Runs(server.url)
    with closing(runs.http):
        listed = Catalog(runs, settings(tmp_path / "home", server.url)).listed()
    assert service.live == "1"
    assert [one.version for one in listed if one.model_name == name] == ["1"]
    assert train.serving(name).version == "1"


def test_what_pointed_to_a_version_is_said() -> None:
    channel = Channel(stage="Production", aliases=["production", "champion"])
    assert cause(channel, Promotions(7, ("1",))) == "the stage Production points to it"
    by_alias = Promotions(BY_ALIAS, ("1",))
    assert cause(channel, by_alias) == "the alias production or champion points to it"
