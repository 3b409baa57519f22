"""The bands of a forecaster go with it, whatever answers: a graph, or the network itself."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bentos.refusal import Refusal
from bentos.serving.release import Contract
from tests.admission.judged import admitted
from training.itransformer import package
from training.itransformer.bands import BANDS, Bands
from training.itransformer.forecaster import Config, Forecaster
from training.itransformer.model import ITransformer
from training.itransformer.settings import Architecture
from training.manifest import write_manifest

CONTRACT = Contract(None, None)
SHAPE = Architecture(seq_len=12, pred_len=4, d_model=16, d_ff=16, n_heads=2, e_layers=1)
ERRORS = np.arange(1, 20, dtype=np.float32)[:, None, None] * np.ones((4, 2), np.float32)


def stored(folder: Path, errors: NDArray[np.float32] | None = ERRORS) -> Path:
    """A forecaster as its training stores it."""
    scale = (100.0, 0.1)
    bands = None
    if errors is not None:
        bands = Bands(np.arange(1, 20), np.ascontiguousarray(errors), np.array(scale))
    config = Config(SHAPE, ("a", "b"), (1e3, 2.0), scale, "h")
    made = Forecaster(ITransformer(SHAPE).eval(), config, bands)
    package.save(made, folder)
    rows = np.random.default_rng(1).normal((1e3, 2, 0, 0, 0, 0), (100, 0.1, 1, 1, 1, 1), (40, 6))
    write_manifest(folder, package.sample(made, rows), package.LIBRARIES)
    return folder


@pytest.mark.parametrize(("compiled", "runs"), [(True, "onnx"), (False, "native")])
def test_bands_go_with_what_answers(compiled: bool, runs: str, tmp_path: Path) -> None:
    release = admitted(stored(tmp_path / "model"), CONTRACT, compile=compiled)
    assert release.runs == runs, release.note
    assert release.bands
    window = np.tile([[900.0, 1.9], [1100.0, 2.1]], (6, 1))
    half = release.bands.half(0.9, window)
    assert half == pytest.approx(np.tile([1800, 1.8], (4, 1)), 1e-3)


def test_a_version_without_bands_serves(tmp_path: Path) -> None:
    assert admitted(stored(tmp_path / "model", None), CONTRACT, compile=False).bands is None


@pytest.mark.parametrize(
    ("errors", "message"), [(ERRORS[:, :3], r"the forecasts are \(4, 2\)"), (-ERRORS, "rise")]
)
def test_what_is_no_band_is_refused_before_it_serves(
    errors: NDArray[np.float32], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Refusal, match=message):
        admitted(stored(tmp_path / "model", errors), CONTRACT, compile=False)


def test_bands_that_are_missing_are_refused(tmp_path: Path) -> None:
    folder = stored(tmp_path / "model")
    (folder / BANDS).unlink()
    with pytest.raises(Refusal, match=r"bands.safetensors"):
        admitted(folder, CONTRACT, compile=False)
