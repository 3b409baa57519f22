from copy import deepcopy

import numpy as np
import onnxruntime
import pytest

from training.contugas.graph import depth_limit, to_onnx
from training.contugas.model import AnomalyModel, Floats, Ints
from training.contugas.readings import Readings
from training.contugas.recipe import Result


def answers(model: AnomalyModel, rows: Floats) -> Ints:
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString())
    found: Ints = session.run(None, {"rows": rows})[0]
    return found


def test_the_graph_answers_as_the_model(result: Result, readings: Readings) -> None:
    spread = readings.X.std(axis=0)
    random = np.random.default_rng(0)
    near = readings.X + spread * random.normal(size=readings.X.shape)
    rows = np.concatenate([readings.X, near])
    np.testing.assert_array_equal(answers(result.model, rows), result.model.predict(rows))


def test_one_row_is_answered_as_it_is_among_others(result: Result, readings: Readings) -> None:
    rows = readings.X[::500]
    one_by_one = np.concatenate([answers(result.model, row[None, :]) for row in rows[:5]])
    np.testing.assert_array_equal(one_by_one, answers(result.model, rows)[:5])


@pytest.mark.parametrize(("threshold", "anomalous"), [(-1.0, 0), (1.0, 1)])
def test_a_threshold_beyond_all_scores_judges_all_alike(
    result: Result, readings: Readings, threshold: float, anomalous: int
) -> None:
    model = deepcopy(result.model)
    for cluster in model.clusters:
        cluster.threshold = threshold
    rows = readings.X[::100]
    assert set(answers(model, rows)[:, 1]) == {anomalous}
    assert depth_limit(model.clusters[0]) == np.inf or threshold < 0
