import stat
from pathlib import Path

import pytest

from deploy.local import keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secrets.env"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start_makes_them(path: Path) -> None:
    made = keys.ensure(path)
    assert set(made) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "ASCENSO_WEBHOOK_SECRET",
        "ASCENSO_SECURITY__SECRET",
        "ASCENSO_ADMIN_KEY",
        "ASCENSO_LOCAL_PASSWORD",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
    }
    assert all(len(value) >= 20 for value in made.values())
    assert mode(path) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["secrets.env"]


def test_no_two_installations_have_the_same(tmp_path: Path) -> None:
    one, other = keys.ensure(tmp_path / "one"), keys.ensure(tmp_path / "other")
    assert not set(one.values()) & set(other.values())


def test_later_starts_change_nothing(path: Path) -> None:
    first = keys.ensure(path)
    text = path.read_text()
    assert keys.ensure(path) == first
    assert path.read_text() == text


def test_a_key_that_came_later_is_added(path: Path) -> None:
    path.write_text("# mine\nAWS_ACCESS_KEY_ID=own")
    keys.ensure(path, {**keys.MAKERS, "ASCENSO_JWT_SECRET": lambda: "made"})
    lines = path.read_text().splitlines()
    assert lines[:2] == ["# mine", "AWS_ACCESS_KEY_ID=own"]
    assert lines[-1] == "ASCENSO_JWT_SECRET=made"
    assert len(lines) == 2 + len(keys.MAKERS)


def test_an_empty_key_is_made(path: Path) -> None:
    path.write_text("AWS_ACCESS_KEY_ID=\n")
    assert keys.ensure(path)["AWS_ACCESS_KEY_ID"]


def test_others_may_not_read_it(path: Path) -> None:
    keys.ensure(path)
    path.chmod(0o644)
    keys.ensure(path)
    assert mode(path) == 0o600


def test_a_dollar_is_only_a_dollar(path: Path) -> None:
    path.write_text("AWS_ACCESS_KEY_ID=a${HOME}b\n")
    assert keys.ensure(path)["AWS_ACCESS_KEY_ID"] == "a${HOME}b"
