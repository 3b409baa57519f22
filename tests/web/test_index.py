import re
from functools import partial
from typing import Any

import httpx

from tests.stack import Stack, wait_for


def test_the_front_page_links_to_what_answers(stack: Stack) -> None:
    page = httpx.get(stack.api, timeout=60)
    assert page.status_code == 200
    assert "contugas-anomaly" in page.text
    links = set(re.findall(r'href="(?!http)(?:\./)?([^"]+)"', page.text))
    assert {"contugas/docs", "contugas/redoc", "contugas/releases", "metrics"} <= links
    assert "contugas/console/models/contugas-anomaly" in links
    for link in links:
        assert httpx.get(f"{stack.api}/{link}", timeout=60).status_code == 200, link


def test_all_services_are_in_one_report(stack: Stack) -> None:
    def reports() -> dict[str, Any]:
        body = httpx.get(f"{stack.api}/releases", timeout=60).json()
        return {report["service"]: report for report in body}

    def alike(service: str) -> bool:
        own = httpx.get(f"{stack.api}/{service}/releases", timeout=60).json()
        return bool(reports()[service] == own)

    assert "contugas" in reports()
    for service in reports():  # whose looks and swaps may come between two questions
        wait_for(partial(alike, service), 60)


def test_the_metrics_are_those_of_all_services(stack: Stack) -> None:
    metrics = httpx.get(f"{stack.api}/metrics", timeout=60).text
    assert 'ascenso_live{channel="stage Production",model="contugas-anomaly"' in metrics


def test_history_is_a_documented_route(stack: Stack) -> None:
    answer = httpx.get(f"{stack.api}/contugas/history?model=contugas-anomaly&limit=1")
    assert answer.status_code == 200
    assert answer.json()["events"][0]["model"] == "contugas-anomaly"
    assert "/history" in httpx.get(f"{stack.api}/contugas/openapi.json").json()["paths"]
