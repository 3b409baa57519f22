import asyncio
from pathlib import Path

import pytest

from bentos.web.auth.users import UserFile, Users
from deploy.local import user
from deploy.local.errors import LocalError
from deploy.local.settings import Settings

KEYS = {"ASCENSO_LOCAL_PASSWORD": "a password of this test"}


def test_the_first_start_adds_the_user_and_later_ones_leave_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    user.ensure(settings, KEYS)
    file = UserFile(tmp_path / "users.json")
    found = asyncio.run(Users({}, file).verify("ascenso", KEYS["ASCENSO_LOCAL_PASSWORD"]))
    assert found
    assert found.admin
    user.ensure(settings, KEYS)
    assert file.read() == {"ascenso": found}
    file.remove("ascenso")
    user.ensure(settings, KEYS)
    assert file.read() == {}


def test_a_weak_password_of_ones_own_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="use 12 to 1024"):
        user.ensure(Settings(home=tmp_path), {"ASCENSO_LOCAL_PASSWORD": "short"})
