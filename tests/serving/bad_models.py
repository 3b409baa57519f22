"""Models that load and may not serve all the same: they answer wrongly, slowly, or at a cost."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from bentos.registry.client import Version
from tests.serving import versions
from tests.serving.skops_file import tampered
from tests.serving.versions import INPUTS, Bench, line, signed
from training.manifest import write_manifest


def signature(inputs: list[ColSpec], output: ColSpec) -> Callable[[Bench], Version]:
    def make(bench: Bench) -> Version:
        given = ModelSignature(Schema([*inputs]), Schema([output]))
        return bench.publish(signed(line(1.0), bench.folder, signature=given))

    return make


TREE = ["sklearn.tree._tree.Tree"]
X, Y = ColSpec("double", "x"), ColSpec("double", "y")


def answers(model: Any, as_if: Any) -> Callable[[Bench], Version]:
    """A model stored with the samples of another one."""

    def make(bench: Bench) -> Version:
        versions.save(model, bench.folder)
        write_manifest(bench.folder, versions.samples(as_if), versions.LIBRARIES)
        return bench.publish(bench.folder)

    return make


def trained_on(columns: int) -> LinearRegression:
    X = np.arange(8.0 * columns).reshape(8, columns)
    return LinearRegression().fit(X, X[:, 0])


def two_answers() -> LinearRegression:
    X = INPUTS.to_numpy()
    return LinearRegression().fit(X, np.concatenate([X, X], axis=1))


def forest(trees: int) -> RandomForestRegressor:
    return RandomForestRegressor(trees, random_state=0).fit(INPUTS.to_numpy(), INPUTS["x"])


def slow(bench: Bench) -> Version:
    return bench.publish(signed(forest(300), bench.folder, skops_trusted_types=TREE))


def untrusted(bench: Bench) -> Version:
    """The file names a function of a foreign module, and MLmodel lists it as trusted."""
    model = make_pipeline(FunctionTransformer(operator.neg), LinearRegression())
    model.fit(INPUTS.to_numpy(), INPUTS["x"])
    folder = signed(model, bench.folder, skops_trusted_types=["_operator.neg"])
    assert "_operator.neg" in (folder / "MLmodel").read_text()
    return bench.publish(folder)


def tree_that_points_outside(bench: Bench) -> Version:
    folder = signed(forest(2), bench.folder, skops_trusted_types=TREE)
    tampered(folder / "model.skops", "left_child", 10**9)
    versions.resign(folder)
    return bench.publish(folder)


def heavy(bench: Bench) -> Version:
    model = line(1.0)
    model.ballast_ = np.zeros(8_000_000)  # 64 MB
    return bench.publish(signed(model, bench.folder))
