"""Who may log in: users of the configuration, and those of `<home>/users.json`.

Passwords are kept as argon2id hashes (RFC 9106). The file is read again when it changes, so a
user who is added, removed or demoted is so at once, in every worker.
"""

import hashlib
import logging
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from anyio.to_thread import run_sync
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from filelock import FileLock

from bentos.files import written

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SHORTEST = 12  # characters of a password
LONGEST = 1024

_hasher = PasswordHasher()


class UserError(ValueError):
    """A name or a password that cannot be taken, or a file that cannot be used."""


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user as the file has them; `hash` is argon2's encoded form, `$argon2id$v=19$...`."""

    hash: str
    admin: bool = False

    @property
    def mark(self) -> str:
        """What changes with the password: 16 hexadecimal digits."""
        return hashlib.sha256(self.hash.encode()).hexdigest()[:16]


class UserFile:
    """`users.json`: `{"ana": {"hash": "$argon2id$...", "admin": true}}`, its owner's only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, User]:
        """The users; none when there is no file. Raises UserError when it cannot be used."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, User])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path} cannot be used: {error}") from None

    def add(self, name: str, password: str, admin: bool = False) -> None:
        """Add a user. Raises UserError for a bad name or password, and for a user that exists."""
        _check(name, password)
        user = User(_hasher.hash(password), admin)
        with self._changing() as users:
            if name in users:
                raise UserError(f"{name} exists; remove that user first")
            users[name] = user

    def remove(self, name: str) -> None:
        """Remove a user. Raises UserError when there is none."""
        with self._changing() as users:
            if name not in users:
                raise UserError(f"There is no user {name!r} in {self.path}")
            del users[name]

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        """The users to change; written when the block ends well, one process at a time."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(f"{self.path}.lock", timeout=10):
            users = self.read()
            yield users
            with written(self.path, 0o600) as file:
                file.write(msgspec.json.format(msgspec.json.encode(users)))


def _check(name: str, password: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(
            f"{name!r} is no user name: letters and digits, then also . _ @ -, 64 at most"
        )
    if not SHORTEST <= len(password) <= LONGEST:
        raise UserError(
            f"The password has {len(password)} characters: use {SHORTEST} to {LONGEST}"
        )


def _check_hash(name: str, text: str) -> None:
    try:
        extract_parameters(text)
    except InvalidHashError:
        raise UserError(
            f"security.users.{name}.hash is no argon2 hash; `ascenso user add` makes one"
        ) from None


class Users:
    """The users of a running service. Those of the configuration win over those of the file.

    Raises UserError for a configured hash that is none.
    """

    def __init__(self, configured: Mapping[str, User], file: UserFile) -> None:
        for name, user in configured.items():
            _check_hash(name, user.hash)
        self._configured = dict(configured)
        self._file = file
        self._stamp: tuple[int, ...] | None = None
        self._users: dict[str, User] = self._configured
        self._nobody = ""

    def get(self, name: str) -> User | None:
        """A user as of now, in microseconds while the file stays as it is."""
        stamp = _stamp(self._file.path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._users = {**self._file.read(), **self._configured}
            except UserError as error:
                log.error("%s; the users that were known stay", error)
        return self._users.get(name)

    async def verify(self, name: str, password: str) -> User | None:
        """The user of this name and password, or None.

        An unknown name takes as long as a wrong password: some 50 ms, 64 MiB and all cores, in a
        thread.
        """
        return await run_sync(self._verify, self.get(name), password)

    def _verify(self, user: User | None, password: str) -> User | None:
        self._nobody = self._nobody or _hasher.hash(secrets.token_hex(16))
        try:
            _hasher.verify(user.hash if user else self._nobody, password)
        except (InvalidHashError, VerificationError):
            return None
        return user


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size
