"""A version whose own code had to run, promoted like any other."""

from typing import Any

import httpx
import mlflow.sklearn
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

from tests.models.conftest import Models
from tests.shut_in import require_sandbox
from tests.stack import wait_for


def cost(wanted: Any, found: Any) -> float:
    return float(np.mean(wanted == found))


cost.__module__ = "__main__"  # cloudpickle stores what it cannot import


def test_what_came_out_of_quarantine_serves(models: Models) -> None:
    require_sandbox()
    rows = np.random.default_rng(0).random((60, 2))
    above = (rows[:, 0] > rows[:, 1]).astype(int)
    search = GridSearchCV(LogisticRegression(), {"C": [1.0, 9.0]}, scoring=make_scorer(cost), cv=2)
    model = search.fit(rows, above)
    for name in ("quarantined-search", "open-search"):
        models.log(model, name, mlflow.sklearn, serialization_format="cloudpickle")
        models.promote(name)
    answers = models.served("quarantined-search", rows.tolist())
    assert [answer["prediction"] for answer in answers] == model.predict(rows).tolist()
    slot = httpx.get(models.place("quarantined-search", "releases")).json()
    assert slot["live"]["note"].startswith("opened in quarantine; ")

    def words() -> str:
        version = models.client.get_model_version("quarantined-search", "1")
        return str(version.tags.get("ascenso", ""))

    wait_for(lambda: words().endswith("as onnx (opened in quarantine)"), 60)
    wait_for(lambda: "was refused" in models.ask("open-search", rows.tolist()).text, 60)
    refusal = models.ask("open-search", rows.tolist())
    assert refusal.status_code == 503
    assert "see quarantine in docs/models.md" in refusal.text
