"""The pages of a small service: what they show, to whom, and what a name cannot do there."""

import asyncio
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.types import ASGIApp

from bentos.promotion.event import Event
from bentos.refusal import Refusal
from bentos.serving.drift import Bin, ColumnDrift, Drift
from bentos.serving.trial import Trial
from bentos.settings import ChallengerSettings, Settings
from bentos.version import Version
from bentos.web.app import App
from bentos.web.auth.gate import Gate
from bentos.web.console import charts, truths, words
from bentos.web.console.counts import Counts, total
from bentos.web.console.places import root_of
from bentos.web.console.ring import HOUR
from bentos.web.console.traffic import Traffic
from bentos.web.following import Following
from tests.memory import doubled, release
from tests.stack import wait_for
from tests.web.serving import serving
from tests.web.small import Point, small_app, small_slot

BAD = "<script>alert(1)<img src=x onerror=alert(1)>'\"&"  # MLflow takes no slash in a name
HTML = {"accept": "text/html"}


def visited(app: ASGIApp, path: str = "/", **headers: str) -> httpx.Response:
    with serving(app) as url:
        return httpx.get(url + path, headers=HTML | headers)


@pytest.mark.parametrize("path", ["/", "/console"])
def test_the_overview_shows_every_model_and_its_last_refusal(path: str) -> None:
    slot = small_slot()
    slot.refuse(Version("adder", "2"), Refusal("samples", "they differ"))
    page = visited(small_app(slot), path)
    assert page.status_code == 200
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    for said in (">adder</a>", "version 1", "samples: they differ", "stage Production"):
        assert said in page.text
    assert not re.search(r"<[^>]* (style|on\w+)=|<style|<script>", page.text)


def test_a_name_a_reason_and_a_tag_are_text(tmp_path: Path) -> None:
    slot = small_slot(name=BAD)
    slot.refuse(Version(BAD, BAD), Refusal("samples", BAD))
    slot.consider(Version(BAD, "3"), BAD)
    tried: Any = Trial(slot, ChallengerSettings())
    slot.try_beside(tried)
    tried.slot.swap(release(BAD, doubled, name=BAD))
    app = small_app(slot)
    with serving(app) as url:
        pages = [httpx.get(f"{url}/{place}") for place in ("", f"console/models/{quote(BAD)}")]
        with httpx.stream("GET", f"{url}/console/events") as events:
            lines = events.iter_lines()
            said = next(line for line in lines if line.startswith("data:"))
    for page in pages:
        assert page.status_code == 200
        assert BAD in unescape(page.text)
        assert BAD not in page.text
        assert "<script>" not in page.text
        assert "<img" not in page.text
    assert "<script>" not in said
    assert "<img" not in said


def test_models_that_are_not_there_are_said_in_the_form_of_the_caller() -> None:
    app = small_app(small_slot())
    shown = visited(app, "/console/models/other")
    assert (shown.status_code, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Those that are: adder" in shown.text
    with serving(app) as url:
        assert "adder" in httpx.get(f"{url}/console/models/other").json()["detail"]


def test_files_are_served_and_nothing_else() -> None:
    with serving(small_app(small_slot())) as url:
        for name, kind in (("console.css", "text/css"), ("console.js", "text/javascript")):
            answer = httpx.get(f"{url}/console/assets/{name}")
            assert answer.headers["content-type"].startswith(kind)
        assert httpx.get(f"{url}/console/assets/..%2fpages.py").status_code == 404


def test_figures_come_from_the_ring(tmp_path: Path) -> None:
    app = small_app(small_slot())
    app.part.traffic = Traffic(tmp_path, [app.part])
    app.part.traffic.hand_over()  # what other tests asked in this process
    before = total(app.part.counts(HOUR, "adder")["small/adder"]).calls
    with serving(app) as url:
        for _ in range(20):
            httpx.post(f"{url}/add", json={"x": 1, "y": 2}).raise_for_status()
        assert httpx.post(f"{url}/add", json={"x": 1}).status_code == 422
        app.part.traffic.hand_over()
        (card,) = app.part.cards()
        page = httpx.get(f"{url}/console/models/adder").text
    facts = {fact.name: fact.value for fact in card.facts}
    assert facts["errors"].endswith(" %")
    assert float(facts["rows in a batch"]) >= 1
    assert facts["p99"].endswith(" ms")
    assert f"{words.number(before + 21)} calls" in page


def test_a_trial_is_counted_over_all_processes(tmp_path: Path) -> None:
    slot = small_slot()
    trial: Any = Trial(slot, ChallengerSettings())
    slot.try_beside(trial)
    trial.slot.swap(release("2", doubled, name="adder"))
    app = small_app(slot)
    app.part.traffic = Traffic(tmp_path, [app.part])
    trial._begin()
    for compared, agreed in ((10, 9), (30, 27), (5, 5)):  # as another process, counted from 0
        trial.counts.compared, trial.counts.agreed = compared, agreed
        Traffic(tmp_path, [app.part]).hand_over()
        app.part.traffic.hand_over()
    (card,) = app.part.cards()
    assert card.challenger == "version 2 as shadow of 10 %: agreed in 90.7 % of 75 calls, 0 errors"


# ---- who may see what


def test_the_way_to_the_service_is_counted() -> None:
    assert [root_of(path) for path in ("/", "/console", "/console/models/x")] == [
        "./",
        "./",
        "../../",
    ]


HERE = "stage Production"


def event(second: int, what: str, version: str, who: str = "") -> Event:
    at = datetime.fromtimestamp(1_800_000_000 + second, UTC).isoformat()
    return Event(at, "r", HERE, "m", version, "", "", what, who, "why")


def test_the_timeline_steps_along_what_served() -> None:
    story = [("swap", "9"), ("refusal", "10"), ("swap", "11"), ("rollback", "9"), ("vacated", "9")]
    events = [event(n, what, version) for n, (what, version) in enumerate(story)]
    line = charts.timeline(events, HERE)
    assert [version for _, version in line.levels] == ["9", "10", "11"]
    ys = [mark.y for mark in line.marks]
    assert ys[0] == ys[3] > ys[1] > ys[2]
    assert line.path.count("V") == 2
    assert not line.path.endswith(f"H{line.width - 4:g}"), "nothing serves now"
    again = charts.timeline([event(0, "vacated", "1"), event(1, "swap", "1", "ana")], HERE)
    assert again.path.startswith("M")
    assert "by ana" in again.marks[1].tip
    tried = charts.timeline([event(0, "swap", "1"), event(1, "swap", "2")], "alias challenger")
    assert (tried.path, tried.marks[0].what) == ("", "swap tried")


def test_a_chart_draws_what_was_counted_and_no_more() -> None:
    times = [0.0] * 15
    times[3] = 10
    places = [Counts(), Counts(calls=10, errors=5, times=times), Counts()]
    chart = charts.traffic(places, "a minute")
    (bar,), (error,) = chart.calls, chart.errors
    assert (bar.height, error.height) == (charts.HEIGHT, charts.HEIGHT / 2)
    assert len(chart.p99) == len(chart.p50) == 1
    assert charts.traffic([], "a minute").calls == []


def test_where_models_share_a_route_calls_are_those_that_reached_them(tmp_path: Path) -> None:
    slot = small_slot(name="quiet")
    app = App("several", [], Following([slot]), Gate(Settings()))
    app.part.traffic = traffic = Traffic(tmp_path, [app.part])

    async def asked() -> None:
        for _ in range(3):
            await slot.predict([Point(1, 2), Point(3, 4)])

    asyncio.run(asked())

    def calls() -> float:
        traffic.hand_over()  # of whole seconds
        return total(app.part.counts(HOUR, "quiet")["several/quiet"]).calls

    wait_for(lambda: calls() == 3, 60)
    counts = total(app.part.counts(HOUR, "quiet")["several/quiet"])
    assert (counts.rows, counts.batches) == (6, 3)
    assert sum(counts.times) == 3


def test_distributions_lie_beside_the_usual_ones() -> None:
    slot = small_slot()
    assert slot.live
    bins = (Bin("up to 1", 0.5, 0.1), Bin(BAD, 0.5, 0.9))
    calm, shifted = ColumnDrift(0.01, 0.0), ColumnDrift(0.8, 0.25, outside=0.5, bins=bins)
    slot.live.sample.found = Drift(1200, "training", {"y": calm, "x": shifted}, {"total": calm})
    app = small_app(slot)
    page = visited(app, "/console/models/adder").text
    assert "1,200 rows beside the training" in page
    assert page.index("<code>x</code> PSI 0.8") < page.index("<code>y</code> PSI 0.01")
    assert "25 % missing, 50 % outside" in page
    assert (page.count('class="expected"'), page.count('class="observed"')) == (2, 2)
    assert 'height="60.0"' in page, "the largest share is as high as the picture"
    assert "<img" not in page
    (card,) = app.part.cards()
    assert [(fact.value, fact.bad) for fact in card.facts if fact.name == "drift"] == [
        ("0.80 (x)", True)
    ]


def test_a_day_of_a_version_is_a_bar() -> None:
    days = [truths.Day(f"2026-03-{n:02}", "1", 1000 * n, {"mae": 0.1 * n}) for n in (1, 2)]
    other = truths.Day("2026-03-02", "2", 1, {"accuracy": 0.0})
    none, mae = truths.courses(truths.Truth("y", 3001, (*days, other)))
    assert (none.name, none.bars) == ("accuracy", [])
    assert [bar.height for bar in mae.bars] == [charts.HEIGHT / 2, charts.HEIGHT]
    assert mae.bars[1].x + mae.bars[1].width < charts.WIDTH
    assert mae.last == "2026-03-02, version 1: 0.2 over 2,000 rows"
