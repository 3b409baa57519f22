"""The console in a real Chromium: a swap and a rollback are watched, under traffic."""

import base64
import os
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect

from bentos.registry.client import Registry
from deploy.local.user import LOCAL, PASSWORD
from tests.e2e.browser import PATIENCE, browsing
from tests.e2e.caller import Caller
from tests.e2e.conftest import Tell
from tests.e2e.service import MODEL, serves
from tests.e2e.versions import Versions
from tests.stack import Stack, wait_for

RATE = 50
SIZES = {"wide": (1280, 900), "narrow": (390, 844)}
PICTURES = "CONSOLE_SCREENSHOTS"  # the folder for new ones: docs


def test_a_swap_and_a_rollback_are_watched(stack: Stack, versions: Versions, tell: Tell) -> None:
    place = f"{stack.api}/contugas/console/models/{MODEL}"
    with Caller(f"{stack.api}/contugas/predict", versions, RATE) as caller, browsing() as page:
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(stack.api)
        card = page.locator("article", has_text=MODEL)
        expect(card).to_contain_text(f"version {versions.old}", timeout=PATIENCE)
        page.evaluate("window.sameDocument = true")
        began = time.monotonic()
        versions.promote(versions.new)
        expect(card).to_contain_text(f"version {versions.new} live", timeout=PATIENCE)
        tell(f"{time.monotonic() - began:.1f} s from the promotion to the console")
        expect(card.locator("div", has_text="calls a second").locator("dd")).not_to_have_text(
            "0", timeout=PATIENCE
        )
        assert page.evaluate("window.sameDocument"), "the page was not loaded anew"

        card.get_by_role("link", name=MODEL).click()
        expect(page.locator("#now")).to_contain_text(f"version {versions.new}")
        page.get_by_role("link", name="Log in", exact=True).last.click()
        log_in(page, stack)
        expect(page).to_have_url(place)
        page.get_by_role("link", name="Roll back…").click()
        expect(page.get_by_role("heading")).to_contain_text(f"back to version {versions.old}?")
        page.get_by_role("button", name="Roll back").click()
        expect(page).to_have_url(place, timeout=PATIENCE)
        expect(page.locator("#now")).to_contain_text(f"version {versions.old}", timeout=PATIENCE)
        latest = page.locator("#history li").first
        expect(latest).to_contain_text(
            f"version {versions.old} rolled back by {LOCAL}", timeout=PATIENCE
        )
        caller.wait_for(versions.old)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.locator("output")).to_contain_text(f"{MODEL}/{versions.old}: ")
        expect(page.locator("#hour rect.calls").first).to_be_visible(timeout=PATIENCE)
        if folder := os.environ.get(PICTURES):
            pictures(page.context.browser, page.context, stack.api, place, Path(folder))
    assert errors == []
    assert (caller.errors, caller.wrong) == ([], [])


def test_a_challenger_gets_the_share_that_an_admin_says(stack: Stack, versions: Versions) -> None:
    place = f"{stack.api}/contugas/console/models/{MODEL}"
    versions.point("challenger", versions.new)
    registry: Registry = versions.registry
    try:
        with browsing() as page:
            page.goto(f"{stack.api}/contugas/console/login?next=console/models/{MODEL}")
            log_in(page, stack)
            expect(page.locator("#now")).to_contain_text("challenger: version", timeout=PATIENCE)
            page.reload()
            page.get_by_label("challenger gets").fill("35")
            page.get_by_role("button", name="Set…").click()
            expect(page.get_by_role("heading")).to_contain_text("35 % of the calls?")
            page.get_by_role("button", name="Set the share").click()
            expect(page).to_have_url(place, timeout=PATIENCE)
            expect(page.locator("#now")).to_contain_text("shadow of 35 %", timeout=PATIENCE)
            expect(page.locator("#history li").first).to_contain_text(f"share set by {LOCAL}")
            page.get_by_role("link", name="Look at the registry…").click()
            page.get_by_role("button", name="Look now").click()
            expect(page.locator("#history li").first).to_contain_text(f"looked anew by {LOCAL}")
        assert versions.tags(versions.new)["serving.traffic"] == "0.35"
        history = httpx.get(f"{stack.api}/contugas/history?model={MODEL}&limit=2").json()
        said = [(event["what"], event["who"]) for event in history["events"]]
        assert said == [("share", LOCAL), ("reload", LOCAL)]
        at = history["events"][-1]["at"]
        query = {"model": MODEL, "at": at}
        served = httpx.get(f"{stack.api}/contugas/history", params=query).json()["events"]
        found = {(event["channel"], event["version"]) for event in served}
        assert ("stage Production", versions.old) in found
        assert len(found) == 2, "and the challenger"
    finally:
        registry.delete_alias(MODEL, "challenger")
        registry.delete_tag(registry.version(MODEL, versions.new), "serving.traffic")
    wait_for(lambda: serves(f"{stack.api}/contugas", versions.old), 180)
    wait_for(lambda: "challenger" not in slot(stack), 180)


def slot(stack: Stack) -> dict[str, Any]:
    """What the service says of the model."""
    found: dict[str, Any] = httpx.get(f"{stack.api}/contugas/releases").json()["releases"][0]
    return found


def log_in(page: Page, stack: Stack) -> None:
    page.get_by_label("Name").fill(LOCAL)
    page.get_by_label("Password").fill(password(stack))
    page.get_by_role("button", name="Log in", exact=True).click()


def password(stack: Stack) -> str:
    """What the first start of the stack made."""
    lines = (stack.home / "secrets.env").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    return found[PASSWORD].strip("'\"")


def pictures(
    browser: Browser | None, session: BrowserContext, api: str, place: str, folder: Path
) -> None:
    """The pictures of the docs, of the overview and of a model."""
    assert browser
    for scheme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            with browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                storage_state=session.storage_state(),
            ) as context:
                page = context.new_page()
                for name, url in (("overview", api), ("model", place)):
                    page.goto(url)
                    expect(page.locator("body.live")).to_be_visible(timeout=PATIENCE)
                    shot = context.new_cdp_session(page).send(
                        "Page.captureScreenshot", {"format": "webp", "quality": 70}
                    )
                    file = folder / f"console-{name}-{size}-{scheme}.webp"
                    file.write_bytes(base64.b64decode(shot["data"]))
