"""Who promoted is told for the promotion that the command made, and not for clicks after it."""

from datetime import timedelta
from pathlib import Path

import pytest

from bentos.cli.promotion import point
from bentos.promotion import promoter
from bentos.promotion.ledger import Ledger
from tests.serving.servers import Server
from tests.serving.service import PRODUCTION, serving
from tests.serving.versions import Shelf


def test_a_click_is_not_credited_to_who_used_the_command_before(
    shelf: Shelf, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    first, second = shelf.add(), shelf.add(2.0)
    with serving(shelf.name, tmp_path, server.url) as service:
        point(shelf.registry, first, PRODUCTION, shelf.name)
        service.look()
        monkeypatch.setattr(promoter, "APART", timedelta(0))  # as if more than a minute passed
        for version in (second, first):
            shelf.promote(version, archive=True)
            service.look()
    events = Ledger(tmp_path / "ledger.db").history(shelf.name)
    assert [(event.version, event.who) for event in events] == [("1", "ana"), ("2", ""), ("1", "")]
