"""Zip files of models: good ones, and what a stranger may send instead."""

import io
import os
import pickle
import stat
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from training.itransformer.model import ITransformer
from training.itransformer.original import to_original
from training.itransformer.settings import Architecture

SHAPE = Architecture(seq_len=24, pred_len=6, d_model=16, n_heads=8, e_layers=2, d_ff=32)
COLUMNS = 2
ESCAPED = Path(tempfile.gettempdir(), "ascenso-escaped")  # what a hostile pickle would leave


class Runs:
    """A pickle of this makes a file when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {ESCAPED}",)


def state(seed: int = 5) -> dict[str, torch.Tensor]:
    """Weights as the paper's own code saves them."""
    torch.manual_seed(seed)
    return to_original(ITransformer(SHAPE).state_dict())


def pth(content: Any = None) -> bytes:
    file = io.BytesIO()
    torch.save(state() if content is None else content, file)
    return file.getvalue()


def scaler(columns: int = COLUMNS, **changes: Any) -> StandardScaler:
    fitted = StandardScaler().fit(np.random.default_rng(3).normal(5, 2, (50, columns)))
    for name, value in changes.items():
        setattr(fitted, name, value)
    return fitted


def pkl(content: Any = None) -> bytes:
    return pickle.dumps(scaler() if content is None else content)


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def original(**changes: bytes | None) -> bytes:
    """A pair as the original had it; `pth=` and `pkl=` replace a file, None leaves it out."""
    parts = {"pth": pth(), "pkl": pkl()} | changes
    return packed({f"plant.{kind}": part for kind, part in parts.items() if part is not None})


def named(name: str) -> Callable[[], bytes]:
    """A good pair with one more file, of this name."""
    return lambda: packed({"plant.pth": pth(), "plant.pkl": pkl(), name: b"x"})


def link() -> bytes:
    file = io.BytesIO(original(pkl=None))
    with zipfile.ZipFile(file, "a") as archive:
        member = zipfile.ZipInfo("plant.pkl")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return file.getvalue()


def bomb() -> bytes:
    return packed({"plant.pth": bytes(50_000_000), "plant.pkl": pkl()}, zipfile.ZIP_DEFLATED)


def nested_bomb() -> bytes:
    """The .pth, a zip itself, unpacks to a lot; outside it looks as it should."""
    inside = packed({"a/data.pkl": pkl(), "a/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    return packed({"plant.pth": inside, "plant.pkl": pkl()})


def lying() -> bytes:
    """The directory tells of 1 byte, where 1,000,000 come."""
    content = packed({"plant.pth": pth(), "plant.pkl": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    at = content.rindex(b"PK\x01\x02")
    head = bytearray(content)
    head[at + 24 : at + 28] = struct.pack("<I", 1)
    return bytes(head)


def twice() -> bytes:
    file = io.BytesIO(original())
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("other.pkl", pkl())
    return file.getvalue()


def same_name_twice() -> bytes:
    return original().replace(b"plant.pkl", b"plant.pth")


def encrypted() -> bytes:
    content = bytearray(original())
    for at in (content.rindex(b"PK\x01\x02") + 8, content.rindex(b"PK\x03\x04") + 6):
        content[at] |= 1
    return bytes(content)


def spoiled() -> bytes:
    """A byte of the weights is another: the checksum tells."""
    content = original()
    return content[:300] + bytes([content[300] ^ 0xFF]) + content[301:]


def nan_weights() -> dict[str, torch.Tensor]:
    weights = state()
    weights["projector.bias"][0] = torch.nan
    return weights


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state().items() if key != name}


def vast() -> dict[str, torch.Tensor]:
    """A weight of a few bytes that claims to be a terabyte."""
    return state() | {"encoder.norm.bias": torch.zeros(1).expand(2**38)}


def numpy_trick() -> bytes:
    """`numpy.load` would unpickle a file; only its name would be needed."""
    return b"cnumpy\nload\n(S'/etc/passwd'\ntR."


def deep() -> bytes:
    return b"\x80\x04" + b"(" * 100_000 + b"."


#: What is wrong, how to make it, and what the answer says of it.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip-slip": (named("../../plant.py"), "would lie outside its folder"),
    "absolute path": (named("/etc/plant.py"), "would lie outside its folder"),
    "windows path": (named("C:\\plant.py"), "would lie outside its folder"),
    "symlink": (link, "is a link or a device"),
    "bomb": (bomb, "unpacks to over 100 times"),
    "nested bomb": (nested_bomb, "unpacks to over 100 times"),
    "lying sizes": (lying, "it is broken"),
    "too many files": (lambda: packed({f"{i}.pkl": b"" for i in range(9)}), "it holds 9 files"),
    "wrong contents": (named("run.sh"), "it holds 'run.sh'; only"),
    "two scalers": (twice, "it holds 'plant.pkl' and 'other.pkl'"),
    "a name twice": (same_name_twice, "it holds 'plant.pth' twice"),
    "encrypted": (encrypted, "is encrypted"),
    "truncated": (lambda: original()[:5000], "it is broken: File is not a zip file"),
    "spoiled": (spoiled, "it is broken: Bad CRC-32"),
    "no zip": (lambda: b"PK nothing", "it is broken: File is not a zip file"),
    "empty": (lambda: packed({}), "it holds no .pth file"),
    "no scaler": (lambda: original(pkl=None), "it holds no .pkl file"),
    "weights with code": (lambda: original(pth=pth(Runs())), "The .pth holds more than weights"),
    "weights not a dict": (lambda: original(pth=pth([1])), "The .pth holds a list"),
    "vast weights": (lambda: original(pth=pth(vast())), "claims more weights than it holds"),
    "NaN weights": (lambda: original(pth=pth(nan_weights())), "head.bias is not finite"),
    "a weight missing": (
        lambda: original(pth=pth(without("encoder.norm.bias"))),
        "The weights lack 'encoder.norm.bias'",
    ),
    "wrong shapes": (
        lambda: original(pth=pth(state() | {"encoder.norm.bias": torch.zeros(3)})),
        "size mismatch for norm.bias",
    ),
    "scaler with code": (lambda: original(pkl=pkl(Runs())), "it calls for 'posix.system'"),
    "eval": (lambda: original(pkl=b"cbuiltins\neval\n(S'1'\ntR."), "'builtins.eval'"),
    "numpy.load": (lambda: original(pkl=numpy_trick()), "it calls for 'numpy.load'"),
    "no scaler inside": (lambda: original(pkl=pkl({"mean_": 1})), "it holds a dict"),
    "unfitted": (lambda: original(pkl=pkl(StandardScaler())), "it has no mean_"),
    "zero scale": (
        lambda: original(pkl=pkl(scaler(scale_=np.zeros(COLUMNS)))),
        "scale_ finite and above 0",
    ),
    "other lengths": (lambda: original(pkl=pkl(scaler(mean_=np.ones(5)))), "are not of 2 columns"),
    "broken pickle": (lambda: original(pkl=pkl()[:40]), "The .pkl cannot be read"),
    "endless marks": (lambda: original(pkl=deep()), "The .pkl"),
}
