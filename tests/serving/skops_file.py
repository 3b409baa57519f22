"""A skops file made wrong by hand."""

import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np


def tampered(path: Path, field: str, value: int, at: int = 0) -> None:
    """Set a field of one node in every tree of a skops file, like someone who can write to it."""
    with ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    changed = 0
    with ZipFile(path, "w") as archive:
        for name, content in entries.items():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(content), allow_pickle=False)
                if array.dtype.names and field in array.dtype.names:
                    array[field][at] = value
                    changed += 1
                    buffer = io.BytesIO()
                    np.save(buffer, array, allow_pickle=False)
                    content = buffer.getvalue()
            archive.writestr(name, content)
    assert changed
