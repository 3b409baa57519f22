from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bentos.promotion import ledger as ledgers
from bentos.promotion.ledger import Ledger
from bentos.registry.client import Version
from bentos.web.errors import HTTPError
from bentos.web.history import MOST, history

MODELS = ["m", "n"]
PRODUCTION = "stage Production"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noon of 2026-03-01, and a second later with each line that the ledger writes."""
    seconds = count()
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(
        ledgers, "now", lambda: ledgers.stamp(noon + timedelta(seconds=next(seconds)))
    )


def ask(ledger: Ledger, **query: str) -> list[dict[str, Any]]:
    answer = history(ledger, MODELS, (), query.items())
    events: list[dict[str, Any]] = msgspec.to_builtins(answer)["events"]
    return events


def swapped(ledger: Ledger, *numbers: str, model: str = "m", channel: str = PRODUCTION) -> None:
    for number in numbers:
        ledger.record("swap", channel, Version(model, number, run_id="r"), "promoted")


def test_the_latest_lines_oldest_first(ledger: Ledger) -> None:
    swapped(ledger, *map(str, range(1, 120)))
    swapped(ledger, "7", model="n")
    assert [event["version"] for event in ask(ledger, model="m", limit="3")] == [
        "117",
        "118",
        "119",
    ]
    assert len(ask(ledger, model="m")) == 100
    assert [event["version"] for event in ask(ledger, model="n")] == ["7"]


@pytest.mark.usefixtures("clock")
def test_what_served_at_a_time(ledger: Ledger) -> None:
    swapped(ledger, "1", "2")
    ledger.record("refusal", PRODUCTION, Version("m", "3"), "samples: differ")
    swapped(ledger, "4")

    def served(at: str) -> list[str]:
        return [event["version"] for event in ask(ledger, model="m", at=at)]

    assert served("2026-03-01T11:59:59Z") == []
    assert served("2026-03-01T12:00:00Z") == served("2026-03-01 12:00") == ["1"]
    assert served("2026-03-01T13:00:01.5+01:00") == ["2"]
    assert served("2026-03-01T12:00:02") == ["2"]  # the refused one never served
    assert served("2026-03-02") == ["4"]
    assert ask(ledger, model="n", at="2026-03-02") == []


def test_a_replica_that_ended_serves_no_more(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    swapped(ledger, "1")
    monkeypatch.setattr(ledgers, "REPLICA", "after-the-restart-2")
    swapped(ledger, "2")
    swapped(ledger, "9", channel="alias challenger")
    now = datetime.now(UTC).isoformat()
    served = {event["channel"]: event["version"] for event in ask(ledger, model="m", at=now)}
    assert served == {PRODUCTION: "2", "alias challenger": "9"}
    assert len(ask(ledger, model="m", at=now)) == 2


@pytest.mark.parametrize("pattern", ["*", "?*", "g*"])
def test_of_a_rack_the_models_that_it_had_are_known(ledger: Ledger, pattern: str) -> None:
    swapped(ledger, "1", model="gone")
    swapped(ledger, "1", model="other" if pattern == "g*" else ".")
    query = {"model": "gone", "at": "2020-01-01"}
    assert history(ledger, MODELS, [pattern], query.items()).events == []
    assert len(history(ledger, MODELS, [pattern], [("model", "gone")]).events) == 1
    for unknown in ("grape", "other"):
        with pytest.raises(HTTPError, match="404"):
            history(ledger, MODELS, [pattern], [("model", unknown)])


def test_an_unknown_model_is_a_404_that_names_the_known(ledger: Ledger) -> None:
    with pytest.raises(HTTPError) as caught:
        ask(ledger, model="x" * 10_000)
    assert caught.value.status == 404
    assert "there is m, n" in str(caught.value.detail)
    assert len(caught.value.body()) < 400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "model"),
        ({"model": "m", "limit": "0"}, "limit"),
        ({"model": "m", "limit": str(MOST + 1)}, "limit"),
        ({"model": "m", "limit": "many"}, "limit"),
        ({"model": "m", "limit": "1.5"}, "limit"),
        ({"model": "m", "limit": ""}, "limit"),
        ({"model": "m", "at": "now"}, "at"),
        ({"model": "m", "at": "12:00"}, "at"),
        ({"model": "m", "at": "2026-02-30"}, "at"),
        ({"model": "m", "at": "2026-03-01T12:00 01:00"}, "at"),
        ({"model": "m", "at": "0001-01-01T00:00+14:00"}, "at"),
        ({"model": "m", "at": "x" * 100_000}, "at"),
        ({"model": "m", "until": "2026-03-01"}, "until"),
    ],
)
def test_a_bad_query_is_a_422_that_names_the_field(
    ledger: Ledger, query: dict[str, str], field: str
) -> None:
    with pytest.raises(HTTPError) as caught:
        ask(ledger, **query)
    assert caught.value.status == 422
    (problem,) = msgspec.json.decode(caught.value.body())["detail"]
    assert problem["loc"] == ["query", field]
    assert len(caught.value.body()) < 500


def test_a_parameter_given_twice_is_refused(ledger: Ledger) -> None:
    with pytest.raises(HTTPError, match="422"):
        history(ledger, MODELS, (), [("model", "m"), ("model", "n")])


def test_a_broken_ledger_is_a_503(ledger: Ledger) -> None:
    for file in ledger.path.parent.glob("ledger.db*"):
        file.write_bytes(b"this is no database" * 100)
    with pytest.raises(HTTPError, match="ledger cannot be read") as caught:
        ask(ledger, model="m")
    assert caught.value.status == 503
