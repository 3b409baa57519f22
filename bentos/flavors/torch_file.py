"""A `.pt2` file, looked at before torch opens it.

`torch.export.load` falls back to a pickle for what it cannot read without one, and evaluates
expressions of sizes. So the archive may hold only what `torch.export.save` writes of tensors.
Format: https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export/pt2_archive.html
"""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import BadZipFile, ZipFile

from bentos.refusal import Refusal

MOST_BYTES = 2**30
RAW = re.compile(r"data/(weights/weight_\d+|constants/tensor_\d+)")
CONFIG = re.compile(r"data/(weights|constants)/model_(weights|constants)_config\.json")
PROGRAM = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
NOTES = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)"
)
TARGET = re.compile(
    r"torch\.ops\.aten\.(?!from_file)\w+\.\w+|torch\.sym_\w+|math\.\w+"
    r"|_operator\.(?!attrgetter|itemgetter|methodcaller)\w+"
    r"|torch\.ops\.higher_order\.wrap_with_set_grad_enabled"
)
_WORDS = """
Symbol positive nonnegative negative integer real finite True False None Integer Rational Add Mul
Pow Max Min Mod FloorDiv PythonMod ModularIndexing CeilDiv CleanDiv TruncToInt floor ceiling Eq Ne
Lt Le Gt Ge And Or Not
"""
WORDS = frozenset(_WORDS.split())
NAMED = re.compile(r"[A-Za-z_]\w*")
SIZE = re.compile(r"[suz]f?\d+")
PLAIN = re.compile(r"[\w\s+\-*/(),'=<>]*")
_LOADING = Lock()  # torch keeps the file that it reads in a global, and reads no other beside it


def open_program(path: Path) -> Any:
    """The exported program of a file. Raises Refusal when it is not safe to open."""
    try:
        with ZipFile(path) as archive:
            _check(archive, path.name)
    except (BadZipFile, ValueError) as error:
        raise Refusal("load", f"{path.name} is no pt2 file: {error}") from error
    import torch

    with _LOADING:
        return torch.export.load(path)


def _check(archive: ZipFile, where: str) -> None:
    if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
        raise Refusal("load", f"{where} would take more than {MOST_BYTES >> 20} MB")
    seen = set()
    for info in archive.infolist():
        name = info.filename.partition("/")[2]
        if info.filename in seen or not _is_known(name):
            raise Refusal("pickle", f"{where} holds {info.filename}, which is no tensor")
        seen.add(info.filename)
        if CONFIG.fullmatch(name):
            _check_config(json.loads(archive.read(info)), where)
        elif name == PROGRAM:
            _check_program(json.loads(archive.read(info)), where)
        elif name == SAMPLES:
            _check_samples(archive.read(info), where)


def _is_known(name: str) -> bool:
    fixed = name in (PROGRAM, SAMPLES)
    return fixed or any(kind.fullmatch(name) for kind in (RAW, CONFIG, NOTES))


def _check_config(config: dict[str, Any], where: str) -> None:
    for name, payload in config["config"].items():
        if payload["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
            raise Refusal("pickle", f"{where} has the weight {name!r} as a pickle")


def _check_samples(content: bytes, where: str) -> None:
    """torch's reader of tensors alone takes them; else it would fall back to a pickle."""
    import torch

    try:
        torch.load(BytesIO(content), weights_only=True)
    except Exception as error:
        raise Refusal("pickle", f"{where} has sample inputs that are no tensors") from error


def _check_program(program: dict[str, Any], where: str) -> None:
    """The program calls torch's own operators alone, and its sizes are arithmetic."""
    for key, value in _texts(program):
        if key in ("target", "as_operator") and not TARGET.fullmatch(value):
            raise Refusal("code", f"{where} calls {value!r}; torch's own operators are served")
        if key in ("expr_str", "hint_expr") and not _is_arithmetic(value):
            raise Refusal("code", f"{where} has a size that is no arithmetic: {value[:80]!r}")


def _is_arithmetic(text: str) -> bool:
    names = NAMED.findall(text)
    return bool(PLAIN.fullmatch(text)) and all(n in WORDS or SIZE.fullmatch(n) for n in names)


def _texts(node: Any) -> Iterator[tuple[str, str]]:
    waiting = [("", node)]
    while waiting:
        key, one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.items()
        elif isinstance(one, list):
            waiting += [(key, part) for part in one]
        elif isinstance(one, str):
            yield key, one
