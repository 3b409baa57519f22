import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.errors import TrainingError
from training.manifest import Samples, check, plain, write_manifest

OUTPUTS = np.arange(16.0).reshape(8, 2)
SAMPLES = Samples(pd.DataFrame({"x": np.arange(8.0)}), OUTPUTS)


def test_every_file_stands_in_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights.bin").write_bytes(b"weights")
    digest = write_manifest(tmp_path, SAMPLES, ["pandas"])
    content = (tmp_path / "ascenso" / "manifest.json").read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    manifest = json.loads(content)
    samples = (tmp_path / "ascenso" / "samples.json").read_bytes()
    assert manifest == {
        "format": 1,
        "files": {
            "ascenso/samples.json": hashlib.sha256(samples).hexdigest(),
            "data/weights.bin": hashlib.sha256(b"weights").hexdigest(),
        },
        "libraries": {"python": platform.python_version(), "pandas": pd.__version__},
    }


def test_samples_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_manifest(tmp_path, Samples(np.full((8, 1), np.nan), OUTPUTS), [])


def test_gaps_in_a_table_become_null() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [None, "x"], "c": [np.nan, 0.1]})
    assert plain(table) == {
        "columns": ["a", "b", "c"],
        "data": [[1, None, None], [2, "x", 0.1]],
    }
    assert json.loads(json.dumps(plain(table))) == plain(table)


def test_what_is_close_enough_passes() -> None:
    check("close", lambda inputs: OUTPUTS * (1 + 1e-6), SAMPLES)


@pytest.mark.parametrize("answer", [OUTPUTS[:, :1], OUTPUTS + 1e-3, OUTPUTS * np.nan])
def test_what_differs_does_not(answer: Any) -> None:
    with pytest.raises(TrainingError, match=r"broken, read back .* does not reproduce"):
        check("broken", lambda inputs: answer, SAMPLES)


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 7), (65, 65), (8, 9)])
def test_samples_are_8_to_64(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match=f"{inputs} sample inputs and {outputs} outputs"):
        Samples(np.zeros((inputs, 1)), np.zeros(outputs))
