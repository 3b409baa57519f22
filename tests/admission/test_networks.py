"""Networks become graphs where these give their answers, and stay what they are elsewhere."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erfc
from torch import nn

from bentos.admission import networks
from bentos.admission.compiling import Graph, compile_rows
from bentos.admission.manifest import Samples
from bentos.admission.network_probes import in_pieces
from bentos.flavors.graphs import NoGraph
from bentos.flavors.loading import Loaded
from bentos.flavors.natives import Predict
from bentos.flavors.torch_file import open_program
from bentos.process import one_thread
from bentos.tensors import BadInput, Batch, Schema
from tests.admission.judged import BY_SCHEMA, admitted
from tests.admission.networks import (
    Frozen,
    Inverse,
    Noise,
    Tail,
    Words,
    alike,
    compiled,
    program,
    tensors,
)
from tests.flavors.kinds import CASES
from tests.flavors.logged import saved

OPENED = """
import sys
from pathlib import Path
from bentos.admission.releases import open_release
from bentos.admission.verdict import read
from bentos.registry.client import Version
place = Path(sys.argv[1])
release = open_release(Version("local", "1"), read(place), place)
print(release.runs, sorted({"torch", "keras", "onnx", "onnxscript"} & sys.modules.keys()))
"""
RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    networks.prepare()
    one_thread()


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[Schema, Predict, Predict]:
    example = torch.randint(0, 30, (3, 6)), torch.randn(3, 4)
    return compiled(program(Words(), *example), tmp_path_factory.mktemp("words"))


def some_words(rows: int) -> Batch:
    words = RANDOM.integers(0, 30, (rows, 6))
    return Batch({"words": words, "beside": RANDOM.normal(size=(rows, 4)).astype(np.float32)})


@pytest.mark.parametrize("rows", [1, 2, 5, 333])
def test_several_inputs_and_outputs(words: tuple[Schema, Predict, Predict], rows: int) -> None:
    _, native, graph = words
    given = some_words(rows)
    alike(native(given), graph(given))


@pytest.mark.parametrize("word", [-1, 30, 2**40])
@pytest.mark.parametrize("rows", [1, 4, 500])
def test_a_word_out_of_range_is_refused_by_both(
    words: tuple[Schema, Predict, Predict], word: int, rows: int
) -> None:
    given = some_words(rows)
    given["words"][rows // 2, 3] = word
    for predict in words[1:]:
        with pytest.raises(BadInput, match="out of range") as bad:
            predict(given)
        assert bad.value.row == rows // 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_graph_takes_finite_numbers(
    words: tuple[Schema, Predict, Predict], value: float
) -> None:
    given = some_words(3)
    given["beside"][1, 2] = value
    with pytest.raises(BadInput, match=r"beside (is infinite|may not be missing)") as bad:
        words[2](given)
    assert (bad.value.column, bad.value.row) == ("beside", 1)


@pytest.mark.parametrize("rows", [1, 3])
def test_a_frozen_number_of_rows_is_asked_for_so_many(tmp_path: Path, rows: int) -> None:
    module = Frozen(rows)
    model = program(module, torch.randn(rows, 3), free=False)
    given = Batch({"": RANDOM.normal(size=(5, 3)).astype(np.float32)})
    with torch.inference_mode():
        wanted = module.out(torch.from_numpy(given[""])).reshape(5, 2, 2).numpy()
    predictors = [tensors(model)[1]] if rows == 1 else compiled(model, tmp_path)[1:]
    for predict in predictors:
        alike(Batch({"prediction": wanted}), predict(given))


def test_an_example_as_pandas_lays_it_out(tmp_path: Path) -> None:
    """Column after column, the first rows of them: MLflow makes a program of these as they are."""
    rows = np.asfortranarray(RANDOM.normal(size=(50, 3)).astype(np.float32))[:5]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            model, tmp_path / "model", input_example=rows, pip_requirements=[]
        )
    _, native, graph = compiled(open_program(tmp_path / "model/data/model.pt2"), tmp_path)
    given = Batch({"": RANDOM.normal(size=(100, 3)).astype(np.float32)})
    alike(native(given), graph(given))


def test_float64_keeps_its_precision(tmp_path: Path) -> None:
    model = program(Tail(), torch.zeros(3, 1, dtype=torch.float64))
    _, _, graph = compiled(model, tmp_path)
    given = np.linspace(-8, 26, 4001)[:, None]
    found = graph(Batch({"": given}))["prediction"]
    np.testing.assert_allclose(found[:, 0], erfc(given)[:, 0], rtol=1e-12)
    moved = given[:, 0] / 0.3 - float(np.float32(0.1))
    np.testing.assert_allclose(found[:, 1], moved, rtol=1e-12)


@pytest.mark.parametrize(
    ("module", "size", "why"),
    [
        (Inverse(), (3, 2, 2), "torch cannot export it: .*linalg_inv"),
        (Noise(), (3, 2), "rows are answered otherwise"),
    ],
)
def test_what_is_not_alike_has_no_graph(
    tmp_path: Path, module: nn.Module, size: tuple[int, ...], why: str
) -> None:
    with pytest.raises(NoGraph, match=why):
        compiled(program(module, torch.randn(*size)), tmp_path)
    assert not (tmp_path / "g").exists()


def test_a_version_serves_as_a_graph_without_its_library(tmp_path: Path) -> None:
    case = CASES["keras"]()
    folder = saved(case, "signature", tmp_path).folder
    release = admitted(folder, BY_SCHEMA)
    assert release.runs == "onnx"
    assert "rows are answered alike" in release.note
    given = RANDOM.normal(size=(3000, 4)).astype(np.float32)
    found = in_pieces(release.predict)(Batch({"": given}))
    alike(Batch({"prediction": case.answers(given)}), found)
    place = folder.with_name("place")
    assert not (place / "model").exists()
    opened = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OPENED, str(place)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert opened.stdout.split(maxsplit=1) == ["onnx", "[]\n"]


def test_what_cannot_be_compiled_serves_as_it_is(tmp_path: Path) -> None:
    folder = saved(CASES["keras"](), "signature", tmp_path).folder
    release = admitted(folder, BY_SCHEMA, compile=False)
    assert (release.runs, release.note) == ("native", "admission.compile is off")


def scaled_keras() -> tuple[Any, Callable[[NDArray[Any]], NDArray[Any]], NDArray[Any]]:
    from sklearn.preprocessing import StandardScaler

    from bentos.flavors.keras_file import answer
    from tests.keras_files import keras
    from training.keras_api.graph import served_model

    keras.utils.set_random_seed(0)
    rows = RANDOM.normal(size=(50, 3)) * [1, 10, 1000] + 5
    layers = [keras.layers.Dense(8, "relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    scalers = (StandardScaler().fit(rows), StandardScaler().fit(1e3 * rows[:, :1]))
    served = served_model(model, *scalers)
    return served, partial(answer, served), rows


def forecaster() -> tuple[Any, Callable[[NDArray[Any]], NDArray[Any]], NDArray[Any]]:
    from training.itransformer.forecaster import Config, Forecaster
    from training.itransformer.model import ITransformer
    from training.itransformer.settings import Architecture

    torch.manual_seed(0)
    shape = Architecture(seq_len=12, pred_len=4, d_model=16, d_ff=16, n_heads=2, e_layers=1)
    config = Config(shape, ("a", "b"), (1e3, 2.0), (100.0, 0.1), "h")
    made = Forecaster(ITransformer(shape).eval(), config)
    noise = RANDOM.normal(size=(30, 12, 6))
    return made, made.predict, noise * [100, 0.1, 1, 1, 1, 1] + [1e3, 2, 0, 0, 0, 0]


@pytest.mark.parametrize("make", [scaled_keras, forecaster])
def test_networks_of_our_services(make: Callable[[], Any], tmp_path: Path) -> None:
    model, predict, rows = make()
    samples = Samples(rows[:20].tolist(), predict(rows[:20]).tolist())
    made = compile_rows(Loaded(predict, model, "predict"), samples, tmp_path / "g", 300.0)
    assert made.predict, made.note
    again = Graph.of_network((tmp_path / "g").read_bytes(), rows.shape[1:])
    wanted, found = predict(rows), again(rows)
    assert found.dtype == wanted.dtype == np.float64
    assert (np.abs(found - wanted) <= 1e-5 * np.abs(wanted).max(axis=0)).all()
