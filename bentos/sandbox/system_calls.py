"""Which system calls a program in a sandbox may make: those that numbers and files need.

A filter of libseccomp, which Debian's own apt needs. All other calls are answered as by a kernel
that does not know them, so that libraries do without.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes.util import find_library
from functools import cache
from typing import Any

FILES = """
access chdir close close_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate
fchdir fcntl fdatasync flock fstat fstatfs fsync ftruncate getcwd getdents
getdents64 ioctl link linkat lseek lstat mkdir mkdirat newfstatat open openat pipe pipe2 pread64
preadv pwrite64 pwritev read readahead readlink readlinkat readv rename renameat renameat2 rmdir
stat statfs statx symlink symlinkat sync_file_range truncate umask unlink unlinkat utime utimensat
utimes write writev copy_file_range sendfile getxattr lgetxattr fgetxattr
"""
MEMORY = "brk madvise mincore mprotect mremap msync munmap get_mempolicy"
PROCESS = """
alarm arch_prctl capget execve exit exit_group futex futex_waitv get_robust_list getcpu getegid
geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid getpriority getrandom getresgid
getresuid getrlimit getrusage getsid gettid getuid kill membarrier pause prctl prlimit64
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_setaffinity sched_yield set_robust_list
set_tid_address setitimer setpgid setpriority setrlimit setsid sigaltstack sysinfo tgkill times
tkill uname wait4 waitid
"""
TIME = """
clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime
"""
TALK = """
accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2
epoll_wait eventfd eventfd2 getpeername getsockname getsockopt listen poll ppoll pselect6 recvfrom
recvmmsg recvmsg select sendmmsg sendmsg sendto setsockopt shutdown
"""
# Done as if: a root without rights still owns the machine's /dev/null.
NOTHING = "chmod chown fchmod fchmodat fchown fchownat lchown"
OTHER_PROCESSES = "fork vfork shmat shmctl shmdt shmget semctl semget semop semtimedop"
ALLOWED = " ".join((FILES, MEMORY, PROCESS, TIME, TALK)).split()

ALLOW, DONE = 0x7FFF0000, 0x00050000
UNKNOWN_CALL = DONE | errno.ENOSYS
EQUAL, MASKED = 4, 7  # of libseccomp's comparisons
THREAD, NAMESPACES = 0x00010000, 0x7E020080  # of clone's flags
SHARED, ANONYMOUS, DOWNWARD = 0x01, 0x20, 0x0100  # of mmap's: memory that no limit counts
LOCAL, INTERNET, NETLINK = (1,), (2, 10), (16,)  # families of sockets
UNKNOWN = -1


class Condition(ctypes.Structure):
    """An argument of a call, compared: libseccomp's scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def available() -> bool:
    """Whether libseccomp is installed."""
    return _library() is not None


@contextmanager
def filtered(alone: bool, network: bool) -> Iterator[int]:
    """An open file with the filter, for bubblewrap. `alone` is who may start no process."""
    library = _library()
    rules = library.seccomp_init(UNKNOWN_CALL)
    file = os.memfd_create("system calls")
    try:
        for name, answer, condition in _rules(alone, network):
            number = library.seccomp_syscall_resolve_name(name.encode())
            compared = (Condition * 1)(condition) if condition else None
            if number != UNKNOWN:
                _done(
                    library.seccomp_rule_add_array(
                        rules, answer, number, bool(condition), compared
                    )
                )
        _done(library.seccomp_export_bpf(rules, file))
        os.lseek(file, 0, os.SEEK_SET)
        yield file
    finally:
        os.close(file)
        library.seccomp_release(rules)


def _rules(alone: bool, network: bool) -> Iterator[tuple[str, int, Condition | None]]:
    for name in ALLOWED if alone else (*ALLOWED, *OTHER_PROCESSES.split()):
        yield name, ALLOW, None
    for name in NOTHING.split():
        yield name, DONE, None
    if alone:
        yield "clone", ALLOW, Condition(0, MASKED, THREAD, THREAD)
        yield "mmap", ALLOW, Condition(3, MASKED, SHARED | DOWNWARD, 0)
        yield "mmap", ALLOW, Condition(3, MASKED, ANONYMOUS | DOWNWARD, 0)
    else:
        yield "clone", ALLOW, Condition(0, MASKED, NAMESPACES, 0)
        yield "mmap", ALLOW, None
    for family in (*LOCAL, *INTERNET, *NETLINK) if network else LOCAL:
        yield "socket", ALLOW, Condition(0, EQUAL, family)
        yield "socketpair", ALLOW, Condition(0, EQUAL, family)


@cache
def _library() -> Any:
    found = find_library("seccomp")
    if found is None:
        return None
    library = ctypes.CDLL(found)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    ]  # fmt: skip
    return library


def _done(status: int) -> None:
    if status:
        raise OSError(-status, f"libseccomp: {os.strerror(-status)}")
