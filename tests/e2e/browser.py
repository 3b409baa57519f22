"""The page of a version in the MLflow UI, used as a person uses it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect, sync_playwright

EXECUTABLE = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000  # ms
IN_SIGHT = """(element) => [...element.getClientRects()].every(({left, right, top, bottom}) =>
    element.contains(document.elementFromPoint((left + right) / 2, (top + bottom) / 2)))"""


@contextmanager
def browsing() -> Iterator[Page]:
    """A new Chromium, without any memory."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=EXECUTABLE, args=ARGUMENTS, timeout=PATIENCE
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def visit(page: Page, address: str, heading: str) -> None:
    """Open a page of MLflow, and close the assistant in front of it."""
    page.goto(address)
    found = page.get_by_role("main").get_by_role("heading", name=heading)
    expect(found).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Close").click()


def in_sight(page: Page, text: str) -> bool:
    """Whether the page holds a text where a person sees it without scrolling anything."""
    found = page.get_by_role("main").get_by_text(text).first
    expect(found).to_be_visible(timeout=PATIENCE)
    return bool(found.evaluate(IN_SIGHT))


class VersionPage:
    """One version. What promotes returns the time of the click, on the monotonic clock."""

    def __init__(self, page: Page, mlflow: str, model: str, version: str) -> None:
        self.page = page
        self.main = page.get_by_role("main")
        visit(page, f"{mlflow}/#/models/{model}/versions/{version}", f"Version {version}")

    def show_stages(self) -> None:
        """The new registry UI knows only aliases."""
        self.main.get_by_role("switch", name="New model registry UI").click()
        self._dialog_button("Disable")

    def move_to(self, stage: str) -> float:
        """Move the version, "transition existing versions" unticked as it comes."""
        self.main.get_by_role("status").click()
        self.page.get_by_role("menuitem").filter(has_text=stage).click()
        return self._dialog_button("OK")

    def add_alias(self, alias: str) -> float:
        """Move an alias to the version."""
        self.main.get_by_role("button", name="Add").first.click()
        self.page.get_by_role("dialog").get_by_role("combobox").fill(alias)
        self.page.keyboard.press("Enter")
        return self._dialog_button("Save aliases")

    def _dialog_button(self, name: str) -> float:
        button = self.page.get_by_role("dialog").get_by_role("button", name=name, exact=True)
        expect(button).to_be_enabled(timeout=PATIENCE)
        clicked = time.monotonic()
        button.click()
        expect(button).to_be_hidden(timeout=PATIENCE)
        return clicked
