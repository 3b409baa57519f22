"""Networks become graphs where these give their answers, and stay what they are elsewhere."""

import os
import signal
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
from bentos.admission.forks import Apart, apart
from bentos.admission.manifest import Samples
from bentos.admission.network_probes import PIECES, in_pieces, parts
from bentos.admission.proof import FAR_SHARE, Part, prove_parts
from bentos.flavors.graphs import NoGraph
from bentos.flavors.loading import Loaded
from bentos.flavors.natives import Predict, guarded
from bentos.flavors.networks import graph_predict
from bentos.flavors.samples import made_up
from bentos.flavors.torch_file import open_program
from bentos.flavors.torch_networks import network_of
from bentos.process import one_thread
from bentos.tensors import BadInput, Batch, Schema
from tests.admission.judged import BY_SCHEMA, admitted
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


class Words(nn.Module):
    """Words of 30, and numbers beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(30, 4), nn.Linear(4, 2)

    def forward(self, words: torch.Tensor, beside: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = self.out(self.words(words).mean(1) + beside)
        return scores.softmax(-1), scores.argmax(-1)


class Frozen(nn.Module):
    """Of as many rows as its example has."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.out = rows, nn.Linear(3, 4)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.out(given)
        return made.reshape(self.rows, 2, 2)


class Tail(nn.Module):
    """What ONNX, or torch's exporter, would compute in float32."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        moved = torch.subtract(torch.divide(given, 0.3), torch.tensor(0.1))
        return torch.cat([torch.erfc(given), moved], dim=1)


class Inverse(nn.Module):
    """What ONNX has no operator for."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.linalg.inv(given + 10 * torch.eye(2))
        return made


class Noise(nn.Module):
    """What is another number each time."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given + torch.rand_like(given)


def program(module: nn.Module, *examples: torch.Tensor, free: bool = True) -> Any:
    torch.manual_seed(0)
    sizes = tuple({0: torch.export.Dim("rows")} for _ in examples) if free else None
    return torch.export.export(module.eval(), examples, dynamic_shapes=sizes)


def tensors(model: Any) -> tuple[Schema, Predict, Batch]:
    """The schema that a network carries, its own answers, and samples."""
    network = network_of(model)
    assert network
    carried = network.carried()
    schema = carried.schema()
    return schema, guarded(schema, network.predict(schema)), made_up(schema, carried)


def compiled(model: Any, path: Path) -> tuple[Schema, Predict, Predict]:
    schema, native, samples = tensors(model)
    found = networks.compile_network(
        model, schema, native, samples, graph_predict, path / "g", 300.0
    )
    assert found.note.startswith("20,")
    return schema, native, graph_predict((path / "g").read_bytes(), schema)


def alike(native: Batch, graph: Batch, small: float = 1e-5) -> None:
    assert native.names == graph.names
    for name, wanted in native.items():
        assert graph[name].dtype == wanted.dtype
        np.testing.assert_allclose(graph[name], wanted, rtol=small, atol=small)


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


def test_the_rows_of_a_comparison() -> None:
    schema, native, samples = tensors(program(Words(), *some_torch_words()))
    made = list(parts(schema, samples, lambda rows: bool(answers(native, rows))))
    words = np.concatenate([part.rows["words"] for part in made[:-2]])
    assert (words.min(), words.max()) == (0, 29)
    near = np.concatenate([p.rows["beside"] for p in made if p.kind == "network"])
    far = np.concatenate([p.rows["beside"] for p in made if p.kind == "far"])
    assert 1 < np.abs(near).max() < 100
    assert np.abs(far).max() > 1e11
    assert {-1, 30} <= set(made[-2].rows["words"].ravel()) | set(made[-1].rows["words"].ravel())


def some_torch_words() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 30, (3, 6)), torch.randn(3, 4)


def answers(native: Predict, rows: Batch) -> Batch | None:
    try:
        return native(rows)
    except Exception:
        return None


def test_pieces_name_the_row_of_the_whole() -> None:
    sizes: list[int] = []

    def refusing(rows: Batch) -> Batch:
        sizes.append(rows.size)
        if (rows[""] == 5).any():
            raise BadInput("five", "", int((rows[""] == 5).argmax()))
        return rows

    assert in_pieces(refusing)(Batch({"": np.arange(100) + 6})).size == 100
    assert tuple(sizes) == (*PIECES, 100 - sum(PIECES))
    with pytest.raises(BadInput) as bad:
        in_pieces(refusing)(Batch({"": np.arange(100)}))
    assert bad.value.row == 5


def shifted(count: int, by: float) -> Predict:
    def predict(rows: Batch) -> Batch:
        made = rows[""].copy()
        made[:count] *= 1 + by
        return Batch({"": made})

    return predict


@pytest.mark.parametrize(
    ("kind", "count", "by", "holds"),
    [
        ("network", 1, 5e-6, True),
        ("network", 1, 5e-5, False),
        ("far", 1000, 5e-4, True),
        ("far", int(1000 * FAR_SHARE), 1.0, True),
        ("far", int(1000 * FAR_SHARE) + 1, 1.0, False),
    ],
)
def test_how_near_is_near(kind: Any, count: int, by: float, holds: bool) -> None:
    rows = Batch({"": RANDOM.uniform(1, 2, 1000)})
    proof = prove_parts(lambda given: given, shifted(count, by), [Part(rows, kind)], 60.0)
    assert proof.holds is holds


def test_small_numbers_are_measured_by_the_usual_ones() -> None:
    usual, small = (Batch({"": size * RANDOM.uniform(1, 2, 1000)}) for size in (1e3, 1e-3))
    both = [Part(usual), Part(small)]
    assert prove_parts(lambda given: given, shifted(9, 1.0), both[1:], 60.0).differing == 9
    first = prove_parts(lambda given: given, lambda rows: given_or(rows, small), both, 60.0)
    assert first.holds


def given_or(rows: Batch, small: Batch) -> Batch:
    return shifted(9, 1.0)(rows) if rows.size == small.size and rows[""].max() < 1 else rows


def crash() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def fail() -> bytes:
    raise NoGraph("it has none")


def turn() -> bytes:
    while True:
        pass


@pytest.mark.parametrize(
    ("call", "why"),
    [(crash, "SIGKILL"), (fail, "^it has none$"), (turn, "more than 0.2 s of a processor")],
)
def test_what_ends_apart_ends_nothing_else(call: Callable[[], bytes], why: str) -> None:
    with pytest.raises(Apart, match=why):
        apart(call, 0.2 if call is turn else 60.0)
    assert apart(lambda: b"x" * 10**6, 60.0) == b"x" * 10**6
