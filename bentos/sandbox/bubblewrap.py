"""The sandbox: bubblewrap, with as little in it as a program can do with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bentos.sandbox.limits import MEGABYTE, Limits
from bentos.sandbox.system_calls import available as filters
from bentos.sandbox.system_calls import filtered

INSTALL = "apt-get install bubblewrap"
LINKED = ("/bin", "/lib", "/lib32", "/lib64", "/sbin")  # into /usr, or folders of their own
OF_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
OF_NETWORK = ("hosts", "nsswitch.conf", "resolv.conf", "ssl", "ca-certificates", "pki")
SCRATCH, SHARED = "/tmp", "/dev/shm"  # noqa: S108 - its own
NOBODY = "65534"
APART = (
    "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
    "--clearenv", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sandbox",
)  # fmt: skip
TRIED = 30.0  # seconds


@dataclass(frozen=True)
class Sandbox:
    """What a program may see and use.

    Of the machine's files: the system's, `readable`, and `writable`, each where it lies, and what
    is `placed` by other names. Its temporary folder, where it starts, goes with it. It has no
    variable but `environment`, and no network but its own, unless so.
    """

    limits: Limits
    readable: Sequence[Path] = ()
    writable: Sequence[Path] = ()
    environment: Mapping[str, str] | None = None
    network: bool = False
    placed: Mapping[str, Path] | None = None

    def start(
        self,
        program: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> "subprocess.Popen[bytes]":
        """Start a program, named by its path. It ends with the thread that started it.

        Its status is 128 and the signal, where one ended it. Killing it ends all that it started.
        """
        with filtered(self.limits.processes == 1, self.network) as calls:
            return subprocess.Popen(  # noqa: S603
                self.command(program, calls),
                env={}, cwd="/", pass_fds=[calls], stdin=stdin, stdout=stdout, stderr=stderr,
            )  # fmt: skip

    def command(self, program: Sequence[str], calls: int) -> list[str]:
        """What starts a program; `calls` is an open file with the filter of system calls."""
        python = os.path.realpath(sys.executable)
        seen = [*self.readable, *python_paths(Path(python))]
        return [
            _bwrap() or "bwrap", *APART, *(["--share-net"] if self.network else ()),
            *_system(self.network), *self._empty(),
            *_bound("--ro-bind", seen), *_bound("--bind", self.writable),
            *_placed(self.placed or {}),
            "--remount-ro", "/", *self._variables(),
            "--seccomp", str(calls), "--", python, *self.limits.started(*program),
        ]  # fmt: skip

    def _empty(self) -> Iterator[str]:
        """Folders that begin empty; what lies in them counts as memory, and is bounded.

        What is the machine's cannot be written to: a root without rights still owns it.
        """
        size = ("--size", str(self.limits.scratch), "--tmpfs")
        yield from ("--proc", "/proc", "--remount-ro", "/proc")
        yield from ("--dev", "/dev", *size, SHARED, "--remount-ro", "/dev")
        yield from (*size, SCRATCH, "--chdir", SCRATCH)

    def _variables(self) -> Iterator[str]:
        given = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        for name, value in (given | dict(self.environment or {})).items():
            yield from ("--setenv", name, value)


def python_paths(python: Path) -> list[Path]:
    """What a Python needs to be seen of: its environment, and the installation below it."""
    place = python.parents[1]
    found = [place, Path(os.path.realpath(python)).parents[1]]
    with suppress(OSError):
        for line in (place / "pyvenv.cfg").read_text().splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home":  # perhaps by another name than its own
                found.append(Path(value.strip()).parent)
    return [path for path in dict.fromkeys(found) if path not in (Path("/"), Path("/usr"))]


def unavailable() -> str | None:
    """Why no sandbox can be had here, with what to do, or None."""
    if _bwrap() is None:
        return f"bwrap is not installed: {INSTALL}"
    if not filters():
        return "libseccomp is not installed: apt-get install libseccomp2"
    limits = Limits(memory=256 * MEGABYTE, seconds=int(TRIED))
    tried = Sandbox(limits).start(["/bin/sh", "-c", "exit 0"], stderr=subprocess.PIPE)
    try:
        said = tried.communicate(timeout=TRIED)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        tried.kill()
        return f"bwrap did nothing within {TRIED:g} s"
    finally:
        if tried.stderr:
            tried.stderr.close()
    if tried.returncode == 0:
        return None
    return f"{' '.join(said.split())[-300:]}: {_mend(said)}"


def _mend(said: str) -> str:
    if "Unknown option" in said:
        return "a bubblewrap of 0.8 or later is needed"
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
        return "AppArmor keeps users from namespaces: give bwrap a profile that has userns"
    return (
        "this user may make no namespaces: sysctl user.max_user_namespaces, or run the container "
        "with seccomp and masked paths loosened"
    )


def _bwrap() -> str | None:
    return shutil.which("bwrap")


def _system(network: bool) -> Iterator[str]:
    """The libraries and programs of the machine, and what of /etc finds them."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in LINKED:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in (*OF_ETC, *(OF_NETWORK if network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")


def _placed(paths: Mapping[str, Path]) -> Iterator[str]:
    for name, path in paths.items():
        yield from ("--ro-bind", str(path.absolute()), name)


def _bound(how: str, paths: Sequence[Path]) -> Iterator[str]:
    for path in dict.fromkeys(map(Path.absolute, paths)):
        yield from (how, str(path), str(path))
