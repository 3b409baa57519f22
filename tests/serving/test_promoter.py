"""Who promoted a version: the command says so, and its word counts for that promotion alone."""

from datetime import UTC, datetime, timedelta

import pytest

from bentos.promotion.channel import point
from bentos.promotion.promoter import is_copied, moment, promoter, said
from bentos.registry.client import CallFailed, Registry, Tag, Version
from bentos.registry.tags import PROMOTED_BY_TAG
from bentos.settings import Channel
from tests.serving.service import Open
from tests.serving.versions import Shelf

PRODUCTION = Channel(stage="Production", aliases=["production"])
ALIAS = Channel(alias="production")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def promoted(by: str, moved: datetime = NOW, made: datetime = NOW) -> Version:
    """A version with the command's tag, moved at a time."""
    created, updated = (round(at.timestamp() * 1000) for at in (made, moved))
    return Version("m", "1", created, updated, tags=(Tag(PROMOTED_BY_TAG, by),))


def ago(**time: float) -> datetime:
    return NOW - timedelta(**time)


@pytest.mark.parametrize(
    ("version", "who"),
    [
        (promoted(said("ana", PRODUCTION, NOW), NOW), "ana"),
        (promoted(said("a, stage Production, b", PRODUCTION, NOW)), "a, stage Production, b"),
        (promoted(said("ana", PRODUCTION, ago(hours=1)), ago(hours=1)), "ana"),  # slow to admit
        (
            promoted(said("ana", PRODUCTION, ago(seconds=1)), NOW, ago(hours=1)),
            "",
        ),  # a click after
        (promoted(said("ana", PRODUCTION)), "ana"),  # seen while the command moved it
        (promoted(said("ana", PRODUCTION), ago(hours=1), ago(hours=1)), ""),
        (promoted(said("ana", Channel(stage="Staging"), NOW)), ""),
        (promoted(said("ana", ALIAS, ago(minutes=4)), ago(days=9), ago(days=9)), "ana"),
        (promoted(said("ana", ALIAS, ago(minutes=6))), ""),
        (promoted(said("ana", Channel(alias="rival"), NOW)), ""),
        (promoted("ana"), ""),  # of an older release
        (promoted("ana, stage Production, noon"), ""),
        (promoted("ana, stage Production, 2026-03-01T12:00:00"), ""),
        (Version("m", "1"), ""),
    ],
)
def test_who_is_said_where_it_is_known(version: Version, who: str) -> None:
    assert promoter(version, PRODUCTION, NOW) == who


def test_a_tag_from_before_the_version_came_with_a_copy() -> None:
    assert is_copied(promoted(said("ana", PRODUCTION, ago(seconds=1))))
    assert not is_copied(promoted(said("ana", PRODUCTION, NOW)))
    assert not is_copied(promoted(said("ana", PRODUCTION)))
    assert not is_copied(Version("m", "1"))


def test_a_click_after_the_command_is_nobodys(
    shelf: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(PRODUCTION)
    for _ in range(2):
        point(registry, shelf.add(), PRODUCTION, "ana")
        service.look()
    for number in "12":
        shelf.promote(number, archive=True)
        service.look()
    history = service.watcher.ledger.history(shelf.name)
    assert [(event.version, event.who) for event in history] == [
        ("1", "ana"), ("2", "ana"), ("1", ""), ("2", ""),
    ]  # fmt: skip


def test_an_alias_that_moves_away_and_back_is_nobodys(
    shelf: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(PRODUCTION)
    for _ in range(2):
        point(registry, shelf.add(), ALIAS, "ana")
        service.look()
    for number in "12":
        registry.set_alias(shelf.name, number, "production")
        service.look()
    history = service.watcher.ledger.history(shelf.name)
    assert [(event.version, event.who) for event in history] == [
        ("1", "ana"), ("2", "ana"), ("1", ""), ("2", ""),
    ]  # fmt: skip


def test_a_process_that_starts_later_credits_nobody_again(
    shelf: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(PRODUCTION)
    for _ in "12":
        point(registry, shelf.add(), ALIAS, "ana")
        service.look()
    registry.set_alias(shelf.name, "1", "production")
    later = open_service(PRODUCTION)
    later.look()
    history = service.watcher.ledger.history(shelf.name)
    assert [(event.version, event.who) for event in history] == [
        ("1", "ana"), ("2", "ana"), ("1", ""),
    ]  # fmt: skip


def test_a_command_that_moves_nothing_is_nobodys_later(
    shelf: Shelf, open_service: Open, registry: Registry
) -> None:
    service = open_service(PRODUCTION)
    shelf.add()
    registry.set_alias(shelf.name, shelf.add().version, "production")
    service.look()
    point(registry, shelf.version(2), ALIAS, "ana")
    for number in "12":
        registry.set_alias(shelf.name, number, "production")
        service.look()
    history = service.watcher.ledger.history(shelf.name)
    assert [event.who for event in history] == ["", "", ""]


def test_the_tag_names_the_time_of_the_move(shelf: Shelf, registry: Registry) -> None:
    point(registry, shelf.add(), PRODUCTION, "ana")
    version = shelf.version(1)
    moved = moment(version.last_updated_timestamp)
    assert version.tag(PROMOTED_BY_TAG) == said("ana", PRODUCTION, moved)


def test_who_may_not_promote_is_not_named(
    shelf: Shelf, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Version:
        raise CallFailed("403: you may not", final=True)

    version = shelf.add()
    monkeypatch.setattr(registry, "promote", refused)
    with pytest.raises(CallFailed, match="you may not"):
        point(registry, version, PRODUCTION, "ana")
    assert shelf.version(1).tag(PROMOTED_BY_TAG) == ""
