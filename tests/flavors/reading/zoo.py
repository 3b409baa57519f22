"""One of every estimator of scikit-learn, fitted to a few rows."""

import pickle
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances
from threadpoolctl import threadpool_limits

METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
random = np.random.RandomState(0)
X = random.rand(60, 4)
Y = (X[:, 0] * 3).astype(int)
ROWS = np.random.RandomState(1).rand(40, 4)
FIT: list[tuple[Any, ...]] = [
    (X, Y),
    (X,),
    (X[:, 0], Y),
    (["one two", "two three four", "three"] * 20, Y),
    ([{"a": 1}, {"b": 2}] * 30, Y),
    (Y,),
    (X, np.column_stack([Y > 0, Y > 1]).astype(int)),
    (X > 0.5, Y),
    (X @ X.T, Y),
    (X, (Y > 0).astype(int)),
    (X, Y + 1.0),
    (X[:, :3], Y),
    ([[1, 2], [3]] * 30,),
]


class Animal(NamedTuple):
    """A fitted estimator, and rows that it takes."""

    name: str
    model: Any
    rows: Any
    data: bytes

    def same(self, read: Any) -> None:
        """Whether another one answers as this one does."""
        wanted, given = _native(self), self.answers(read)
        assert wanted.keys() == given.keys(), self.name
        for method, answer in wanted.items():
            np.testing.assert_array_equal(answer, given[method], f"{self.name}.{method}")

    def answers(self, model: Any) -> dict[str, NDArray[Any]]:
        """What it, or another like it, says to the rows, by method."""
        made: dict[str, NDArray[Any]] = {}
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            for method in METHODS:
                np.random.seed(0)
                try:
                    answer = getattr(model, method)(self.rows)
                except Exception:
                    continue
                made[method] = answer.toarray() if sp.issparse(answer) else np.asarray(answer)
        return made


def every() -> Iterator[Animal]:
    """A fitted instance of each, with those that need another one given it."""
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        for name, kind in all_estimators():
            yield from (fitted(name, made) for made in instances(name, kind))


def instances(name: str, kind: Any) -> list[Any]:
    """As scikit-learn's own checks make them: small."""
    if name == "FrozenEstimator":
        from sklearn.linear_model import Ridge

        return [kind(Ridge().fit(X, Y))]
    return list(_construct_instances(kind))


def fitted(name: str, estimator: Any) -> Animal:
    """Fitted to the first of the tables that it takes."""
    for given in FIT:
        try:
            estimator.fit(*given)
        except Exception as error:
            last = error
        else:
            rows = ROWS if given[0] is X else given[0]
            return Animal(name, estimator, rows, pickle.dumps(estimator))
    raise last


@cache
def zoo() -> list[Animal]:
    """All of them, fitted once."""
    return list(every())


_known: dict[int, dict[str, NDArray[Any]]] = {}


def _native(animal: Animal) -> dict[str, NDArray[Any]]:
    """What a copy of it answers: some answer otherwise when they are asked again."""
    if id(animal) not in _known:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _known[id(animal)] = animal.answers(pickle.loads(animal.data))
    return _known[id(animal)]
