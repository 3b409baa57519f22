import asyncio
import logging
import stat
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bentos.web.auth.users import User, UserError, UserFile, Users

PASSWORD = "correct horse battery"
ADD = """
import sys
from pathlib import Path
from bentos.web.auth.users import UserFile

for number in range(3):
    UserFile(Path(sys.argv[1])).add(f"{sys.argv[2]}{number}", "a long password")
"""


@pytest.fixture
def file(tmp_path: Path) -> UserFile:
    return UserFile(tmp_path / "home" / "users.json")


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> User:
    file = UserFile(tmp_path_factory.mktemp("users") / "users.json")
    file.add("ana", PASSWORD)
    return file.read()["ana"]


def verify(users: Users, name: str, password: str) -> User | None:
    return asyncio.run(users.verify(name, password))


def test_a_user_who_is_added_logs_in(file: UserFile) -> None:
    users = Users({}, file)
    assert verify(users, "ana", PASSWORD) is None
    file.add("ana", PASSWORD, admin=True)
    user = verify(users, "ana", PASSWORD)
    assert user
    assert user.admin
    assert user.hash.startswith("$argon2id$")
    assert PASSWORD not in file.path.read_text()
    for name, password in [("ana", PASSWORD + "x"), ("ana", ""), ("Ana", PASSWORD)]:
        assert verify(users, name, password) is None
    file.remove("ana")
    assert verify(users, "ana", PASSWORD) is None


def test_only_the_owner_may_read_the_file(file: UserFile) -> None:
    file.add("ana", PASSWORD)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert {path.name for path in file.path.parent.iterdir()} <= {"users.json", "users.json.lock"}


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("", PASSWORD, "'' is no user name"),
        ("ana maria", PASSWORD, "is no user name"),
        ("../ana", PASSWORD, "is no user name"),
        ("a" * 65, PASSWORD, "is no user name"),
        ("ana", "elevenchars", "has 11 characters: use 12 to 1024"),
        ("ana", "", "has 0 characters"),
    ],
)
def test_a_bad_name_or_password_is_refused(
    file: UserFile, name: str, password: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        file.add(name, password)
    assert not file.path.exists()


def test_a_user_is_added_once_and_removed_once(file: UserFile) -> None:
    file.add("ana", PASSWORD)
    with pytest.raises(UserError, match="ana exists"):
        file.add("ana", PASSWORD)
    file.remove("ana")
    with pytest.raises(UserError, match="There is no user 'ana'"):
        file.remove("ana")


def test_processes_add_together(file: UserFile) -> None:
    adding = [
        subprocess.Popen([sys.executable, "-c", ADD, str(file.path), prefix]) for prefix in "ab"
    ]
    assert [process.wait(120) for process in adding] == [0, 0]
    assert sorted(file.read()) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_users_of_the_configuration_win(file: UserFile, ana: User) -> None:
    file.add("ana", "another long password", admin=True)
    users = Users({"ana": ana}, file)
    assert verify(users, "ana", PASSWORD) == ana
    assert verify(users, "ana", "another long password") is None


def test_a_password_changes_the_mark(file: UserFile, ana: User) -> None:
    file.add("ana", PASSWORD)
    again = file.read()["ana"]
    assert again.mark != ana.mark
    assert ana.mark not in ana.hash


@pytest.mark.parametrize(
    "text", ["", "{", '{"ana": {"hash": 1}}', '{"ana": {"hsh": "x"}}', "\xff"]
)
def test_a_broken_file_changes_nothing(
    file: UserFile, ana: User, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    file.path.parent.mkdir()
    file.path.write_text(f'{{"ana": {{"hash": "{ana.hash}"}}}}')
    users = Users({}, file)
    assert users.get("ana") == ana
    file.path.write_text(text, "latin-1")
    assert users.get("ana") == users.get("ana") == ana
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "users.json cannot be used" in record.getMessage()
    with pytest.raises(UserError, match="cannot be used"):
        file.add("eva", PASSWORD)
    file.path.unlink()
    assert users.get("ana") is None


def test_a_hash_that_is_none_lets_nobody_in(file: UserFile) -> None:
    with pytest.raises(UserError, match=r"security\.users\.ana\.hash is no argon2 hash"):
        Users({"ana": User("$argon2id$nonsense")}, file)
    file.path.parent.mkdir()
    file.path.write_text('{"ana": {"hash": "$argon2id$nonsense"}}')
    assert verify(Users({}, file), "ana", PASSWORD) is None


def test_asking_for_a_user_is_cheap(file: UserFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.add("ana", PASSWORD)
    users = Users({}, file)
    known = users.get("ana")

    def never() -> dict[str, User]:
        raise AssertionError("the file is read again")

    monkeypatch.setattr(file, "read", never)
    assert known is users.get("ana")


def test_an_unknown_user_takes_as_long_as_a_wrong_password(file: UserFile, ana: User) -> None:
    users = Users({"ana": ana}, file)
    verify(users, "ana", "warm up")

    def seconds(name: str) -> float:
        began = time.perf_counter()
        assert verify(users, name, "not the password") is None
        return time.perf_counter() - began

    pairs = [(seconds("ana"), seconds("nobody")) for _ in range(9)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.2 < unknown / known < 5  # without the hash of nobody: 0.01
