import re

import httpx

from tests.stack import Stack


def test_the_front_page_links_to_what_answers(stack: Stack) -> None:
    page = httpx.get(stack.api)
    assert page.status_code == 200
    assert "contugas-anomaly/" in page.text
    links = re.findall(r'href="([^"]+)"', page.text)
    assert {"contugas/docs", "contugas/redoc", "contugas/releases", "metrics"} <= set(links)
    for link in links:
        assert httpx.get(f"{stack.api}/{link}").status_code == 200, link


def test_all_services_are_in_one_report(stack: Stack) -> None:
    reports = httpx.get(f"{stack.api}/releases").json()
    assert "contugas" in [report["service"] for report in reports]
    for report in reports:
        assert httpx.get(f"{stack.api}/{report['service']}/releases").json() == report


def test_the_metrics_are_those_of_all_services(stack: Stack) -> None:
    metrics = httpx.get(f"{stack.api}/metrics").text
    assert 'ascenso_live{channel="stage Production",model="contugas-anomaly"' in metrics


def test_history_is_a_documented_route(stack: Stack) -> None:
    told = httpx.get(f"{stack.api}/contugas/history?model=contugas-anomaly&limit=1")
    assert told.status_code == 200
    assert told.json()["events"][0]["model"] == "contugas-anomaly"
    assert "/history" in httpx.get(f"{stack.api}/contugas/openapi.json").json()["paths"]
