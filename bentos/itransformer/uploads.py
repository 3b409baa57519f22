"""Bundles on their way in and out: streamed to disk, read in a process apart, never left over."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from subprocess import TimeoutExpired
from typing import IO

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.types import Message

from bentos.itransformer import archives, tied
from bentos.itransformer.archives import BadArchive, Bounds
from bentos.itransformer.calls import check_name
from bentos.settings import Settings
from bentos.web.body import decode_query
from bentos.web.errors import BodyTooLarge, HTTPError, Unavailable
from bentos.web.packing import unpacked
from training.itransformer.bands import BANDS

PTH, PKL, CONFIG = ".pth", ".pkl", "config.json"
FILES = {PTH: "weights.pth", PKL: "scaler.pkl", CONFIG: CONFIG, BANDS: BANDS}
OUTCOME = "outcome.json"
MOST_FILES = 4
SHOWN = 300  # characters of a log
CHUNK = 1024 * 1024
LEFT_SECONDS = 3600


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What may come beside the file; `model_name` is that of the .pth otherwise.

    `n_heads`, `step` and `columns` (with commas between) tell what a bundle without config.json
    cannot.
    """

    model_name: str = ""
    promote: bool = False
    n_heads: int = 8
    step: str = "h"
    columns: str = ""


class Order(msgspec.Struct, frozen=True):
    """What `bentos.itransformer.install` shall do with an unpacked bundle."""

    name: str
    form: Form
    memory_bytes: int


class Outcome(msgspec.Struct, frozen=True):
    """The new version, or why there is none, and whether the bundle is to blame."""

    version: str = ""
    error: str = ""
    bad: bool = False


@contextmanager
def passing(home: Path) -> Iterator[Path]:
    """A folder for what comes and goes; what a killed service left is swept after an hour."""
    parent = home / "passing"
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.iterdir():
        with suppress(FileNotFoundError):  # another worker's, done now
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        yield Path(folder)


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The content of a file, which is closed then."""
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def limited(request: Request, limit: int) -> Request:
    """A request that ends with BodyTooLarge once it has brought so many bytes."""
    size, arriving = 0, unpacked(request.scope, request.receive, limit)

    async def receive() -> Message:
        nonlocal size
        message = await arriving()
        size += len(message.get("body", b""))
        if size > limit:
            raise BodyTooLarge(limit)
        return message

    return Request(request.scope, receive)


def zip_file(form: FormData) -> tuple[str, IO[bytes]]:
    """The name and content of a form's one file. Raises HTTPError 400."""
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if len(files) != 1:
        raise HTTPError(400, f"The form holds {len(files)} files: send one .zip, as multipart")
    name = PurePosixPath(files[0].filename or "").name
    if not name.lower().endswith(".zip"):
        raise HTTPError(400, f"The file is called {name!r}: send a .zip")
    return name, files[0].file


def fields(form: FormData) -> Form:
    """The other fields of a form. Raises HTTPError 422."""
    pairs = [(key, value) for key, value in form.multi_items() if isinstance(value, str)]
    return decode_query(pairs, Form, "body")


def install(file: IO[bytes], form: Form, settings: Settings) -> list[str]:
    """Unpack a bundle and make it a version; give the names of its files.

    Raises HTTPError 400 for a bundle that is not as it should be.
    """
    bounds = settings.uploads
    with passing(settings.home) as folder:
        found = unpack(file, folder, bounds.unpacked_bytes)
        name = form.model_name or PurePosixPath(found[PTH]).name.removesuffix(PTH)
        check_name(name)
        order = Order(name, form, bounds.memory_bytes)
        outcome = run(folder, order, settings.tracking_uri, bounds.seconds)
    if outcome.bad:
        raise HTTPError(400, outcome.error)
    if outcome.error:
        raise Unavailable(outcome.error)
    return sorted(found.values())


def unpack(file: IO[bytes], folder: Path, most_bytes: int) -> dict[str, str]:
    """Unpack a bundle into a folder. Raises HTTPError 400."""
    targets = {kind: folder / name for kind, name in FILES.items()}
    try:
        found = archives.unpack(file, targets, Bounds(MOST_FILES, most_bytes))
    except BadArchive as error:
        raise HTTPError(400, f"The zip is refused: {error}") from None
    for kind in (PTH, PKL):
        if kind not in found:
            raise HTTPError(400, f"The zip is refused: it holds no {kind} file")
    return found


def run(folder: Path, order: Order, mlflow: str, seconds: float) -> Outcome:
    """Let a process of its own read what lies in a folder, and register it with `mlflow`."""
    text = msgspec.json.encode(order).decode()
    with (folder / "log").open("wb") as log:
        process = tied.start(
            "bentos.itransformer.install",
            str(folder),
            text,
            mlflow=mlflow,
            log=log,
        )
    try:
        process.wait(seconds)
    except TimeoutExpired:
        return Outcome(error=f"Reading it took over {seconds:.0f} s", bad=True)
    finally:
        process.kill()
        process.wait()
    if not (folder / OUTCOME).exists():
        last = (folder / "log").read_text(errors="replace")[-SHOWN:]
        raise RuntimeError(f"install ended with {process.returncode}: {last}")
    return msgspec.json.decode((folder / OUTCOME).read_bytes(), type=Outcome)
