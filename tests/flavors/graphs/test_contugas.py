"""The anomaly model of contugas answers as a graph as it answers itself."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from bentos.admission.compiling import compile_rows
from bentos.admission.manifest import Samples
from bentos.flavors.graphs import Session, compile_model
from bentos.flavors.graphs.contugas import depth_limit
from bentos.flavors.loading import Loaded
from bentos.tensors import BadInput, Batch, Column, Schema
from tests.flavors.graphs.tables import arrays, proved
from training.contugas.model import FIELDS, OUTPUTS, AnomalyModel, Floats
from training.contugas.readings import clean, synthetic
from training.contugas.recipe import train
from training.contugas.settings import Settings, Synthetic
from training.settings import read_settings

SCHEMA = Schema(
    inputs=tuple(Column(name, "float64") for name in FIELDS),
    outputs=tuple(Column(name, "int64") for name in OUTPUTS),
)


@pytest.fixture(scope="module")
def trained() -> tuple[AnomalyModel, Floats]:
    readings = clean(synthetic(Synthetic(clients=20, hours=100, seed=3)), least_clients=6)
    return train(readings, read_settings("contugas", Settings)).model, readings.X


def test_the_graph_answers_as_the_model(trained: tuple[AnomalyModel, Floats]) -> None:
    model, X = trained
    samples = Batch.of_block(SCHEMA.names, X)
    proof = proved(model, "predict", SCHEMA, samples, arrays(model.predict, SCHEMA), 5000)
    assert proof.holds, proof


@pytest.mark.parametrize("threshold", [-1.0, 1.0])
def test_a_threshold_beyond_all_scores_judges_all_alike(
    trained: tuple[AnomalyModel, Floats], threshold: float
) -> None:
    model = deepcopy(trained[0])
    for cluster in model.clusters:
        cluster.threshold = threshold
    graph = compile_model(model, SCHEMA, "predict").proto.SerializeToString()
    answers = Session(graph)(Batch.of_block(SCHEMA.names, trained[1]))
    assert set(answers["prediccion"]) == {int(threshold > 0)}


def test_the_limit_is_where_the_score_crosses_the_threshold(
    trained: tuple[AnomalyModel, Floats],
) -> None:
    for cluster in trained[0].clusters:
        limit = depth_limit(cluster)
        score = cluster.forest.offset_ + cluster.threshold
        trees = len(cluster.paths)
        expected = -trees * 10.24 * np.log2(-score)  # 10.24: c(256)
        assert limit == pytest.approx(expected, rel=1e-3)


def test_it_is_admitted_as_a_graph(trained: tuple[AnomalyModel, Floats], tmp_path: Path) -> None:
    """Its own arithmetic goes on with NaN, which the graph refuses: that is no other answer."""
    model, X = trained
    samples = Samples(X[:50].tolist(), model.predict(X[:50]).tolist())
    made = compile_rows(
        Loaded(model.predict, model, "predict"), samples, tmp_path / "m.onnx", 60.0
    )
    assert made.predict is not None, made.note
    np.testing.assert_array_equal(made.predict(X), model.predict(X))
    with pytest.raises(BadInput, match="may not be missing"):
        made.predict(np.full((1, 3), np.nan))
