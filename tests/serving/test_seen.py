"""What who promoted sees in MLflow's UI, in a window of 1280 x 800, without scrolling."""

from pathlib import Path

import pytest

from tests.e2e.browser import VersionPage, browsing, in_sight, visit
from tests.serving.service import Open
from tests.serving.versions import Shelf, bad


@pytest.fixture
def promoted(shelf: Shelf, open_service: Open, tmp_path: Path) -> Shelf:
    """Version 1 serves, version 2 is refused."""
    service = open_service()
    shelf.promote(shelf.add(1.0))
    service.look()
    bad(shelf, tmp_path / "bad")
    service.look()
    return shelf


@pytest.mark.parametrize(
    ("number", "outcome"), [("1", "live since"), ("2", "refused"), ("2", "samples: ")]
)
def test_the_outcome_is_in_sight(promoted: Shelf, number: str, outcome: str) -> None:
    with browsing() as page:
        version = VersionPage(page, promoted.registry.uri, promoted.name, number)
        assert in_sight(page, outcome), "in the new registry UI"
        version.show_stages()
        assert in_sight(page, outcome), "in the old registry UI"


def test_the_list_shows_which_version_serves(promoted: Shelf) -> None:
    """A version's own page forgets its aliases amid a hundred models (MLflow 3.17)."""
    with browsing() as page:
        visit(page, f"{promoted.registry.uri}/#/models/{promoted.name}", promoted.name)
        assert in_sight(page, "@ live")
