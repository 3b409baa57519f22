"""Keras files that are served, and the many that are not."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import h5py
import numpy as np
import pytest
import yaml

from bentos.flavors import keras_file, loading
from bentos.flavors.keras_file import open_keras
from bentos.flavors.mlmodel import MLmodel
from tests.keras_files import CONFIG, WEIGHTS, dense, keras, reconfigure, reweigh, rewrite
from tests.serving.refusals import refused

ROWS = np.random.default_rng(1).normal(size=(5, 3))
FRESH = """
import os, sys
from pathlib import Path
from bentos.flavors.loading import load, preload
from bentos.flavors.mlmodel import MLmodel

preload("catboost")
print("keras" in sys.modules)
preload("keras")
import torch
load(MLmodel(Path(sys.argv[1])))
print(sys.modules["keras"].backend.backend(), torch.get_num_threads())
print("torch._dynamo" in sys.modules, torch._dynamo.is_compiling())  # hidden, not gone
"""


def version(folder: Path, file: Path, **options: Any) -> MLmodel:
    """A version as mlflow.keras lays it out, less what loading does not read."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "model.keras").write_bytes(file.read_bytes())
    (folder / "data" / "keras_module.txt").write_text("keras")
    flavors = {"keras": {"data": "data", "save_exported_model": False} | options}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return MLmodel(folder)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_what_torch_would_answer_otherwise_is_refused(backend: str, tmp_path: Path) -> None:
    layers = keras.layers
    pooled = layers.AveragePooling1D(4, 1, padding="same", name="smooth")
    model = keras.Sequential([keras.Input((5,)), layers.Reshape((5, 1)), pooled, layers.Flatten()])
    model.save(tmp_path / "m.keras")
    assert open_keras(tmp_path / "m.keras").count_params() == 0
    message = rf"the model is of {backend}, and its AveragePooling1D 'smooth' pools \[4\]"
    refused("load", message, lambda: open_keras(tmp_path / "m.keras", backend))


def test_answers_as_where_it_was_made(file: Path, tmp_path: Path) -> None:
    loaded = loading.load(version(tmp_path / "version", file))
    np.testing.assert_allclose(loaded.predict(ROWS), dense().predict(ROWS, verbose=0), rtol=1e-6)
    assert not loaded.model.training  # type: ignore[attr-defined]


def test_dropout_is_off(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.9)]).save(tmp_path / "m.keras")
    answers = keras_file.answer(open_keras(tmp_path / "m.keras"), ROWS)
    np.testing.assert_allclose(answers, ROWS, rtol=1e-6)


def test_a_fresh_service_runs_it_on_one_thread_without_a_compiler(
    file: Path, tmp_path: Path
) -> None:
    version(tmp_path / "version", file)
    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "version")],
        capture_output=True,
        text=True,
        check=True,
        env=environment | {"OMP_NUM_THREADS": "2"},
    )
    assert done.stdout.split() == ["False", "torch", "1", "False", "False"]


def test_nothing_in_a_file_but_the_optimizer_is_of_a_backend(file: Path) -> None:
    """So a file written under TensorFlow is the same; its optimizer is not read."""

    def as_tensorflow(found: dict[str, Any]) -> None:
        assert "torch" in json.dumps(found.pop("compile_config"))
        assert "torch" not in json.dumps(found)
        found["compile_config"] = {
            "optimizer": {
                "module": "keras.src.backend.tensorflow.optimizer",
                "class_name": "Adam",
                "config": {"name": "adam"},
                "registered_name": "Adam",
            },
            "loss": "mse",
        }

    reconfigure(file, as_tensorflow)
    names: list[str] = []
    reweigh(file, lambda weights: weights.visit(names.append))
    assert not [name for name in names if "torch" in name]
    np.testing.assert_allclose(
        keras_file.answer(open_keras(file), ROWS), dense().predict(ROWS, verbose=0), rtol=1e-6
    )


def test_a_graph_of_many_kinds(tmp_path: Path) -> None:
    layers, rows = keras.layers, keras.Input((4, 3))
    sequence = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(rows)
    attended = layers.MultiHeadAttention(1, 2)(sequence, sequence)
    pooled = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(attended))
    clipped = keras.ops.clip(layers.BatchNormalization()(pooled)[:, :2] * 2, -1, 1)
    answers = layers.Dense(1, kernel_regularizer="l2", activation="gelu")(clipped)
    model = keras.Model(rows, answers)
    model.save(tmp_path / "m.keras")
    batch = np.ones((2, 4, 3))
    found = keras_file.answer(open_keras(tmp_path / "m.keras"), batch)
    np.testing.assert_allclose(found, model.predict(batch, verbose=0), rtol=1e-5, atol=1e-7)


def test_a_compiled_model_inside(tmp_path: Path) -> None:
    rows = keras.Input((3,))
    keras.Model(rows, dense()(rows)).save(tmp_path / "m.keras")
    refused("load", "compile_config.*guardar_modelo", lambda: open_keras(tmp_path / "m.keras"))


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04 torn"])
def test_what_is_no_keras_file(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    refused("load", r"model\.keras is no \.keras file", lambda: open_keras(file))


@pytest.mark.parametrize("member", ["assets/layer/vocabulary.txt", "../escaped", "model.pkl"])
def test_members_that_keras_does_not_write(file: Path, member: str) -> None:
    rewrite(file, member, lambda _: b"x")
    refused("load", "but Keras writes", lambda: open_keras(file))


def test_two_members_of_one_name(file: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), ZipFile(file, "a") as archive:
        archive.writestr(CONFIG, "{}")
    refused("load", "but Keras writes", lambda: open_keras(file))


def test_a_member_that_swells(file: Path) -> None:
    content = dict.fromkeys(("metadata.json", WEIGHTS), b"") | {CONFIG: bytes(17 * 2**20)}
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    refused("load", r"config\.json would take 17 MB; the limit is 16 MB", lambda: open_keras(file))


def test_weights_that_swell(file: Path) -> None:
    reweigh(file, lambda weights: weights.create_dataset("x", (2**31,), "f4"))  # none is stored
    refused("load", "would take 8192 MB", lambda: open_keras(file))


def test_a_model_of_more_weights_than_the_file_holds(file: Path) -> None:
    def widen(found: dict[str, Any]) -> None:
        layers = found["config"]["layers"]
        for each in layers[1:]:
            each.pop("build_config", None)
        layers[1]["config"]["units"] = 10**12

    reconfigure(file, widen)
    refused("load", r"asks for \d+ weights, but .* holds \d+", lambda: open_keras(file))


def outside(weights: h5py.File, path: Path) -> None:
    kernel = weights["layers/dense/vars"]
    del kernel["0"]
    kernel.create_dataset("0", (3, 4), "f4", external=[(str(path), 0, 48)])


def virtual(weights: h5py.File, path: Path) -> None:
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(path), "x", (3, 4))
    weights.create_virtual_dataset("y", layout)


def circle(weights: h5py.File, _: Path) -> None:
    weights["layers/again"] = weights["layers"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "is no array of numbers"),
        (virtual, "is no array of numbers"),
        (lambda w, path: w.__setitem__("x", h5py.ExternalLink(str(path), "/x")), "/x is a link"),
        (lambda w, path: w.__setitem__("x", h5py.SoftLink("/layers")), "/x is a link"),
        (circle, "more than 10000 arrays"),
        (lambda w, path: w.create_dataset("x", data=["text"]), "/x is no array of numbers"),
        (lambda w, path: w.create_dataset("x", (8,), "f4", chunks=(8,)), "/x is no array"),
        (lambda w, path: w.__setitem__("x", np.dtype("f4")), "/x is no array of numbers"),
    ],
)
def test_weights_that_lie_elsewhere(
    change: Callable[[h5py.File, Path], object], message: str, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_bytes(bytes(48))
    reweigh(file, lambda weights: change(weights, tmp_path / "secret"))
    refused("load", message, lambda: open_keras(file))


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000])
def test_a_config_that_is_none(file: Path, tmp_path: Path, content: bytes) -> None:
    rewrite(file, CONFIG, lambda _: content)
    refused("load", "model|while loading", lambda: loading.load(version(tmp_path / "v", file)))


def test_weights_of_another_model(file: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as weights:
        weights["layers/dense/vars/0"] = np.zeros(10_000)
    rewrite(file, WEIGHTS, lambda _: buffer.getvalue())
    refused("load", "while loading", lambda: loading.load(version(tmp_path / "v", file)))


@pytest.mark.parametrize("name", ["model.h5", "saved_model.pb", "global_custom_objects.json"])
def test_files_beside_it(name: str, file: Path, tmp_path: Path) -> None:
    read = version(tmp_path / "v", file)
    (tmp_path / "v" / "data" / name).touch()
    refused("flavor", name, lambda: loading.load(read))


def test_pickled_custom_objects(file: Path, tmp_path: Path) -> None:
    read = version(tmp_path / "v", file)
    (tmp_path / "v" / "data" / "global_custom_objects.cloudpickle").touch()
    refused("pickle", "global_custom_objects", read.refuse_pickles)


def test_a_version_without_a_keras_file(file: Path, tmp_path: Path) -> None:
    read = version(tmp_path / "v", file)
    (tmp_path / "v" / "data" / "model.keras").rename(tmp_path / "v" / "data" / "model.h5")
    refused("flavor", r"data/model\.keras.*not there", lambda: loading.load(read))
