"""Zip files from strangers: looked at before anything is written, and written under our names."""

import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError  # noqa: N812

CHUNK = 1024 * 1024
ENCRYPTED = 0x1
MOST_RATIO = 100  # unpacked to packed; weights hardly shrink
SMALL = 64 * 1024  # bytes, below which no ratio is a bomb


class BadArchive(Exception):
    """A zip file that will not be unpacked; the message says why."""


@dataclass(frozen=True)
class Bounds:
    """How many files a zip may hold, and of how many bytes in all."""

    files: int
    bytes: int


def members(archive: ZipFile, bounds: Bounds) -> list[ZipInfo]:
    """The files of a zip, none of which is dangerous to unpack. Raises BadArchive."""
    files = [member for member in archive.infolist() if not member.is_dir()]
    if len(files) > bounds.files:
        raise BadArchive(f"it holds {len(files)} files; at most {bounds.files} are taken")
    for member in archive.infolist():
        _check(member)
    if (total := sum(member.file_size for member in files)) > bounds.bytes:
        raise BadArchive(f"it unpacks to {total:,} bytes; at most {bounds.bytes:,} are taken")
    names = [member.filename for member in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadArchive(f"it holds {twice[0]!r} twice")
    return files


def _check(member: ZipInfo) -> None:
    name, mode = member.orig_filename, member.external_attr >> 16
    windows = PureWindowsPath(name)
    outside = ".." in windows.parts or windows.drive or windows.root
    if outside or "\\" in name or not name.isprintable() or len(name) > 255:
        raise BadArchive(f"{name[:255]!r} would lie outside its folder, or is no plain name")
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise BadArchive(f"{name!r} is a link or a device, not a file")
    if member.flag_bits & ENCRYPTED:
        raise BadArchive(f"{name!r} is encrypted")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadArchive(f"{name!r} is packed by a method that is not deflate")
    if member.file_size > max(SMALL, MOST_RATIO * member.compress_size):
        raise BadArchive(f"{name!r} unpacks to over {MOST_RATIO} times its packed size")


def unpack(file: IO[bytes], targets: dict[str, Path], bounds: Bounds) -> dict[str, str]:
    """Unpack a zip that holds at most one file of each kind, and none of another.

    `targets` gives, by how a name ends or by a whole name, the path to write to. Gives the names
    that the files had. Raises BadArchive.
    """
    found: dict[str, str] = {}
    try:
        with ZipFile(file) as archive:
            for member in members(archive, bounds):
                kind = _kind(member.filename, targets)
                if kind in found:
                    raise BadArchive(f"it holds {found[kind]!r} and {member.filename!r}: give one")
                found[kind] = member.filename
                _write(archive, member, targets[kind])
    except (BadZipFile, ZlibError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchive(f"it is broken: {error}") from error
    return found


def _kind(name: str, targets: dict[str, Path]) -> str:
    last = PurePosixPath(name).name
    for kind in targets:
        if last == kind or (kind.startswith(".") and last.endswith(kind) and last != kind):
            return kind
    raise BadArchive(f"it holds {name!r}; only {', '.join(targets)} are taken")


def _write(archive: ZipFile, member: ZipInfo, path: Path) -> None:
    with archive.open(member) as source, path.open("xb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
