"""torch models that MLflow pickled: layers of torch become programs, all else is refused."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow.models import infer_signature
from numpy.typing import NDArray
from torch import nn

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opening import open_model
from bentos.refusal import Refusal
from bentos.tensors import Batch
from tests.admission.judged import BY_SCHEMA, admitted, case
from tests.itransformer import zips

Rows = NDArray[np.float32]
ROWS = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
IMAGES = ROWS.reshape(-1, 1, 4, 2)
IDS = np.abs(ROWS * 3).astype(np.int64) % 10


class Own(nn.Module):
    """A module of somebody's own."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The rows again."""
        return rows


def tabular() -> nn.Sequential:
    hidden = nn.Sequential(nn.BatchNorm1d(8), nn.GELU(), nn.Dropout(0.5))
    return nn.Sequential(nn.Linear(4, 8), hidden, nn.Linear(8, 3), nn.Softmax(dim=1))


def convolving() -> nn.Sequential:
    seen = nn.Conv2d(1, 2, 2, padding=1, padding_mode="reflect")
    return nn.Sequential(seen, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(2))


def embedding() -> nn.Sequential:
    return nn.Sequential(nn.Embedding(10, 3, padding_idx=0), nn.Flatten(), nn.Linear(12, 1))


def pickled(folder: Path, model: nn.Module, rows: Any, **more: Any) -> Path:
    """A model as MLflow pickles it; `rows` give the signature, if there are any."""
    signature = (
        None
        if rows is None
        else infer_signature(rows[:2], model(torch.tensor(rows[:2])).numpy(force=True))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            model, folder, signature=signature, serialization_format="pickle",
            pip_requirements=[], **more,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    ("make", "rows"),
    [(tabular, ROWS), (convolving, IMAGES), (embedding, IDS)],
    ids=["tabular", "convolving", "embedding"],
)
def test_layers_of_torch_answer_as_they_do(
    tmp_path: Path, make: Callable[[], nn.Sequential], rows: Rows
) -> None:
    """Logged while it still was being trained, as people do; MLflow asks it for answers."""
    torch.manual_seed(0)
    model = make()
    model(torch.from_numpy(rows[:50]))
    folder = pickled(tmp_path / "model", model, rows)
    release = admitted(folder, BY_SCHEMA)
    assert release.schema
    with torch.inference_mode():
        wanted = model.eval()(torch.from_numpy(rows)).numpy()
    for size in (1, 2, len(rows)):
        (found,) = release.predict(Batch({release.schema.names[0]: rows[:size]})).values()
        assert np.allclose(found, wanted[:size].reshape(found.shape), rtol=1e-5, atol=1e-6)
    assert "read from a pickle" in release.note
    assert not list(case(folder, BY_SCHEMA).place.rglob("*.pth"))


def test_the_first_layer_knows_its_width(tmp_path: Path) -> None:
    opened = open_model(MLmodel(pickled(tmp_path / "model", tabular(), None)))
    assert opened.schema.source == "model"
    assert opened.predict(Batch({"": ROWS[:3]}))


def test_nothing_tells_the_shape_of_an_image(tmp_path: Path) -> None:
    model = convolving()
    model(torch.from_numpy(IMAGES[:2]))
    with pytest.raises(Refusal, match="neither a signature nor an input example"):
        open_model(MLmodel(pickled(tmp_path / "model", model, None)))


def test_a_class_of_ones_own_is_named(tmp_path: Path) -> None:
    folder = pickled(tmp_path / "model", nn.Sequential(nn.Linear(4, 4), Own()), ROWS)
    with pytest.raises(Refusal, match=r"tests.flavors.test_torch_pickle.Own.*input_example"):
        open_model(MLmodel(folder))


def test_pickles_may_be_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is a pickle"):
        admitted(pickled(tmp_path / "model", tabular(), ROWS), BY_SCHEMA, pickles="refuse")


def hooked(model: nn.Sequential) -> None:
    model[0]._forward_hooks[0] = nn.ReLU()


def shadowed(model: nn.Sequential) -> None:
    model[0].__dict__["forward"] = "x"


def itself(model: nn.Sequential) -> None:
    model._modules["4"] = model


def sparse(model: nn.Sequential) -> None:
    model[0]._parameters["weight"] = nn.Parameter(torch.eye(4).to_sparse())


def nested(model: nn.Sequential) -> None:
    model[0].__dict__["in_features"] = {"a": [zips.Runs]}


def running(model: nn.Sequential) -> None:
    model.__dict__["note"] = zips.Runs()


def settings(model: nn.Sequential) -> None:
    model[0].__dict__["in_features"] = [[4]]


@pytest.mark.parametrize(
    "spoil",
    [hooked, shadowed, itself, sparse, nested, running, settings],
    ids=lambda one: one.__name__,
)
def test_what_layers_may_not_hold(tmp_path: Path, spoil: Callable[[nn.Sequential], None]) -> None:
    folder = pickled(tmp_path / "model", tabular(), ROWS)
    model = tabular()
    spoil(model)
    torch.save(model, folder / "data" / "model.pth")
    with pytest.raises(Refusal) as refused:
        open_model(MLmodel(folder))
    assert refused.value.reason == "pickle"
    assert not zips.ESCAPED.exists()


def unpacked(path: Path) -> None:
    path.write_bytes(b"\x80\x02cposix\nsystem\n.")


def squeezed(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", b"\0" * 10**6)


def twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("model/data.pkl", b"\x80\x02N.")


def weights(path: Path) -> None:
    torch.save(tabular().state_dict(), path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    "spoil", [unpacked, squeezed, twice, weights, cut], ids=lambda one: one.__name__
)
def test_what_is_no_file_of_layers(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder = pickled(tmp_path / "model", tabular(), ROWS)
    spoil(folder / "data" / "model.pth")
    with pytest.raises(Refusal, match=r"model\.pth"):
        open_model(MLmodel(folder))
