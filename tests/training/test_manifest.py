import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.errors import InputError, TrainingError
from training.manifest import Samples, check, plain, versions, write_manifest

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


DAYS = pd.date_range("2024-01-01", periods=8).to_numpy()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.full((8, 1), np.nan), "inputs have nan in row 0, column 0, but samples hold"),
        ([[1.0]] * 7 + [[np.inf]], "inputs have inf in row 7, column 0, but"),
        (pd.DataFrame({"x": np.ones(8), "y": [*range(7), -np.inf]}), "-inf in row 7, column 'y'"),
        (pd.DataFrame({"day": DAYS}), r"Timestamp\('2024-01-01 .*'\) in row 0, column 'day'"),
        (DAYS, r"sample inputs are datetime64\[.*\], but samples hold text, finite numbers, bool"),
        (list(DAYS), r"have np.datetime64\('2024-01-01.*'\) in row 0, but"),
        ([[1, 2]] * 7 + [[1]], r"have \[1, 2\] in row 0, but"),
        ([[b"x"]] * 8, "have b'x' in row 0, column 0"),
    ],
)
def test_samples_of_other_values_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Samples(inputs, OUTPUTS)
    with pytest.raises(InputError, match=message.replace("inputs", "outputs")):
        Samples(OUTPUTS, inputs)


def test_samples_may_be_lists(tmp_path: Path) -> None:
    inputs = [[n, f"0{n}", n > 3, np.int64(n), (1.5)] for n in range(8)]
    samples = Samples(inputs, ["no"] * 7 + ["01"])
    write_manifest(tmp_path, samples, [])
    stored = json.loads((tmp_path / "ascenso" / "samples.json").read_text())
    assert stored["inputs"][7] == [7, "07", True, 7, 1.5]
    assert stored["outputs"] == ["no"] * 7 + ["01"]
    check("words", lambda rows: np.array(["no"] * 7 + ["01"]), samples)
    with pytest.raises(TrainingError, match="does not reproduce"):
        check("words", lambda rows: np.array(["no"] * 7 + ["1"]), samples)


def test_a_library_that_is_not_installed_is_named() -> None:
    with pytest.raises(InputError, match=r"'sklearn', of the libraries .* is not installed: give"):
        versions(["numpy", "sklearn"])


def test_gaps_in_a_table_become_null() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": [None, "x"], "c": [np.nan, 0.1]})
    assert plain(table) == {
        "columns": ["a", "b", "c"],
        "data": [[1, None, None], [2, "x", 0.1]],
    }
    assert json.loads(json.dumps(plain(table))) == plain(table)


def test_what_is_close_enough_passes() -> None:
    check("close", lambda inputs: OUTPUTS * (1 + 1e-6), SAMPLES)


def test_a_column_of_answers_is_what_a_model_answers() -> None:
    check("column", lambda inputs: OUTPUTS[:, 0], Samples(OUTPUTS, OUTPUTS[:, :1]))


@pytest.mark.parametrize("answer", [OUTPUTS[:, :1], OUTPUTS + 1e-3, OUTPUTS * np.nan])
def test_what_differs_does_not(answer: Any) -> None:
    with pytest.raises(TrainingError, match=r"broken, read back .* does not reproduce"):
        check("broken", lambda inputs: answer, SAMPLES)


@pytest.mark.parametrize(("inputs", "outputs"), [(7, 7), (65, 65), (8, 9)])
def test_samples_are_8_to_64(inputs: int, outputs: int) -> None:
    with pytest.raises(ValueError, match=f"{inputs} sample inputs and {outputs} outputs"):
        Samples(np.zeros((inputs, 1)), np.zeros(outputs))
