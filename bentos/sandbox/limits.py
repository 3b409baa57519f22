"""What a program in a sandbox may use, and the lines that see to it before it runs."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import msgspec

MEGABYTE = 1 << 20


class Limits(msgspec.Struct, frozen=True):
    """Of each process, but for `scratch`, the bytes in all of the sandbox's temporary files.

    `memory` is in bytes that it may write to, `seconds` are a processor's, `files` are open ones,
    `file` is the bytes of one file that it writes. With one of `processes` it starts no other,
    but threads; more are only counted.
    """

    memory: int
    seconds: int
    processes: int = 1
    threads: int = 64
    files: int = 256
    file: int = 256 * MEGABYTE
    scratch: int = 256 * MEGABYTE

    def started(self, *program: str) -> list[str]:
        """The arguments of a Python that sets these limits and becomes the program."""
        return ["-I", "-S", "-c", START, msgspec.json.encode(self).decode(), *program]

    def start(
        self, program: Sequence[str], environment: Mapping[str, str]
    ) -> "subprocess.Popen[bytes]":
        """Start a program without a sandbox: with these limits, but of how many processes."""
        counted = msgspec.structs.replace(self, processes=0)
        return subprocess.Popen(  # noqa: S603
            [sys.executable, *counted.started(*program)],
            env=dict(environment), cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip


# Set within the sandbox: how many processes there are is counted in its own user namespace.
START = """
import json, os, resource, sys
limits, program = json.loads(sys.argv[1]), sys.argv[2:]
MAPPED = 8 << 30  # that libraries map beyond what they write to
for name, most in {
    "CORE": 0,
    "DATA": limits["memory"],
    "AS": limits["memory"] + MAPPED,
    "CPU": limits["seconds"],
    "NPROC": limits["processes"] and limits["processes"] + limits["threads"],
    "NOFILE": limits["files"],
    "FSIZE": limits["file"],
    "MEMLOCK": 0,
    "MSGQUEUE": 0,
}.items():
    kind = getattr(resource, "RLIMIT_" + name)
    already = resource.getrlimit(kind)[1]
    most = most if already == resource.RLIM_INFINITY else min(most, already)
    if name != "NPROC" or most:  # outside of a namespace all of the user's would count
        resource.setrlimit(kind, (most, most))
os.execv(program[0], program)
"""
