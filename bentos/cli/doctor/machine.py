"""What this machine has: disk for the state folder, memory, open files."""

import resource
import shutil
import tempfile
from pathlib import Path

import psutil

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground

GIGABYTE = 1024**3
LEAST_DISK = GIGABYTE
LEAST_MEMORY = GIGABYTE // 2
LEAST_FILES, FEW_FILES = 256, 1024
CONTAINER = Path("/sys/fs/cgroup/memory.max")


def state_folder(ground: Ground) -> Found:
    """It can be written."""
    home = ground.settings.home.expanduser().resolve()
    set_it = "set ASCENSO_HOME to a folder that this user may write"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return ok(f"{home} can be written")
    except OSError as error:
        return failure(f"{home} cannot be written: {error.strerror}", set_it)


def disk(ground: Ground) -> Found:
    """There is room for what the cache may hold."""
    home, wanted = ground.settings.home.expanduser().resolve(), ground.settings.cache.bytes
    free = shutil.disk_usage(home).free
    said = f"{free / GIGABYTE:.1f} GB are free at {home}"
    if free < LEAST_DISK:
        return failure(said, "make room, or set ASCENSO_HOME to another disk")
    if wanted and free < wanted:
        lower = f"make room, or set ASCENSO_CACHE__BYTES below {wanted}"
        return warning(
            f"{said}, and the cache of versions may take {wanted / GIGABYTE:.1f}", lower
        )
    return ok(said)


def memory(ground: Ground) -> Found:
    """There is as much as one version may take at its admission."""
    free = min(psutil.virtual_memory().available, _limit())
    wanted = ground.settings.version_mb * 1024**2
    said = f"{free / GIGABYTE:.1f} GB of memory are free"
    if free < LEAST_MEMORY:
        return failure(said, "stop other programs, or raise the limit of the container")
    if free < wanted:
        lower = "set ASCENSO_ADMISSION__MEMORY_MB lower, or ASCENSO_ADMISSION__KEEP_PREVIOUS=false"
        return warning(f"{said}, and a version may take {wanted / GIGABYTE:.1f}", lower)
    return ok(said)


def _limit() -> float:
    """What a container may have; psutil tells what its machine has."""
    text = CONTAINER.read_text().strip() if CONTAINER.exists() else "max"
    return float("inf") if text == "max" else float(text)


def open_files(ground: Ground) -> Found:
    """A process may hold enough connections."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = f"a process may have {'any number of' if soft < 0 else soft} files open"
    raise_it = "ulimit -n 65536, or LimitNOFILE of the unit"
    if 0 <= soft < LEAST_FILES:
        return failure(said, raise_it)
    return warning(said, raise_it) if 0 <= soft < FEW_FILES else ok(said)


CHAINS: tuple[Chain, ...] = ((state_folder, disk), (memory,), (open_files,))
