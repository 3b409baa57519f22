"""What a program in the sandbox can see and do."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bentos.sandbox import Limits, Sandbox, bubblewrap, python_paths, unavailable
from bentos.sandbox.limits import MEGABYTE
from tests.shut_in import require_sandbox

PYTHON = sys.executable


@pytest.fixture(scope="module", autouse=True)
def _available() -> None:
    require_sandbox()


def run(code: str, *arguments: str, **options: Any) -> tuple[str, int]:
    """What a script printed, with its errors, and its status."""
    limits = Limits(**{"memory": 512 * MEGABYTE, "seconds": 20} | options.pop("limits", {}))
    seen = (*python_paths(Path(PYTHON)), *options.pop("readable", ()))
    running = Sandbox(limits, seen, **options).start(
        [PYTHON, "-I", "-S", "-c", code, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    said, _ = running.communicate(timeout=120)
    return said.decode().strip(), running.returncode


def test_it_sees_its_own_files_and_variables_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none of its business")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model").write_text("7")
    (tmp_path / "secret").write_text("8")
    code = (
        "import os, sys; print(dict(os.environ)); place = sys.argv[1]; print(os.listdir(place),"
        "open(place + '/own/model').read(), os.path.exists('/etc/passwd'), os.getcwd())"
    )
    said, status = run(
        code, str(tmp_path), readable=[tmp_path / "own"], environment={"OMP_NUM_THREADS": "1"}
    )
    assert status == 0, said
    assert said.endswith("['own'] 7 False /tmp")
    assert "AWS" not in said
    assert "'OMP_NUM_THREADS': '1'" in said


WRITABLE = """
import os
for folder, _, names in os.walk("/"):
    for path in [folder, *(os.path.join(folder, name) for name in names)]:
        if not os.path.islink(path) and os.access(path, os.W_OK):
            if not os.statvfs(path).f_flag & os.ST_RDONLY:
                print(path)
"""


def test_it_writes_to_its_temporary_folder_only() -> None:
    said, status = run(WRITABLE)
    assert status == 0, said
    own = {line for line in said.splitlines() if not line.startswith("/dev/")}
    assert own == {"/tmp"}


def test_a_folder_of_its_own_is_shared(tmp_path: Path) -> None:
    code = "import sys; open(sys.argv[1] + '/said', 'w').write('hello')"
    said, status = run(code, str(tmp_path), writable=[tmp_path])
    assert status == 0, said
    assert (tmp_path / "said").read_text() == "hello"


CANNOT = {
    "change the machine's settings": "open('/proc/sys/vm/swappiness', 'r+')",
    "write to the system": "open('/usr/a', 'w')",
    "fork": "import os; os.fork()",
    "start a program": "import subprocess; subprocess.run(['/bin/true'])",
    "open a socket": "import socket; socket.socket()",
    "ask the kernel about the network": "import socket; socket.socket(socket.AF_NETLINK)",
    "take memory": "bytearray(600 << 20)",
    "take shared memory": "import mmap; mmap.mmap(-1, 1 << 20)",
    "take memory that grows": (
        "import mmap; mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100)"
    ),
    "take memory as files": "[open(f'/tmp/{n}', 'wb').write(bytes(9 << 20)) for n in range(4)]",
    "take shared files": "[open(f'/dev/shm/{n}', 'wb').write(bytes(9 << 20)) for n in '1234']",
    "write a large file": "open('/tmp/a', 'wb').write(bytes(17 << 20))",
    "open many files": "kept = [open('/dev/null') for _ in range(300)]",
    "start threads for ever": (
        "import threading, time\n"
        "for _ in range(200): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    ),
    "use namespaces": (
        "import ctypes, os; os.strerror(ctypes.CDLL(None).unshare(0x10000000)) and exit(3)"
    ),
}


@pytest.mark.parametrize("deed", CANNOT)
def test_it_cannot(deed: str) -> None:
    limits = {"file": 16 * MEGABYTE, "scratch": 32 * MEGABYTE}
    said, status = run(CANNOT[deed], limits=limits)
    assert status != 0, said


def test_it_calls_nobody() -> None:
    code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        assert run(code, port)[1] != 0
        said, status = run(code, port, network=True)
        assert status == 0, said


def test_its_parents_live_on() -> None:
    said, status = run(
        "import os; os.kill(os.getppid(), 9)\n"
        "print(len([name for name in os.listdir('/proc') if name.isdigit()]))"
    )
    assert (said, status) == ("2", 0)  # itself, and what starts and ends it


def test_processes_where_they_are_allowed() -> None:
    code = "import subprocess; subprocess.run(['/bin/true'], check=True)"
    said, status = run(code, limits={"processes": 4})
    assert status == 0, said


def test_its_time_runs_out() -> None:
    assert run("while True: pass", limits={"seconds": 1}) == ("", 128 + signal.SIGKILL)


STARTS = """
import subprocess, sys
from bentos.sandbox import Limits, Sandbox
running = Sandbox(Limits(1 << 29, 20)).start(
    ["/bin/sh", "-c", "echo started; exec sleep 600"], stdout=sys.stdout
)
running.wait()
"""


def test_it_ends_with_who_started_it() -> None:
    command = [PYTHON, "-c", STARTS]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as starts:
        assert starts.stdout
        assert starts.stdout.readline() == b"started\n"
        starts.kill()
        assert starts.stdout.read() == b""  # all that could write to it are gone


def test_why_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bubblewrap, "filters", lambda: False)
    assert "apt-get install libseccomp2" in str(unavailable())
    bwrap = tmp_path / "bwrap"
    bwrap.write_text(
        "#!/bin/sh\necho bwrap: No permissions to create a new namespace >&2; exit 1\n"
    )
    bwrap.chmod(0o755)
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "No permissions to create a new namespace: " in str(unavailable())
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install bubblewrap" in str(unavailable())
