"""Empty instances of reviewed classes, and the states that go into them.

No `__setstate__` is called: scikit-learn's own set attributes and warn of releases, and what
more a few do stands here.
"""

from typing import Any

from bentos.flavors.reading.names import expect


def new(kind: Any) -> Any:
    """An instance without a state: no code of its class runs."""
    return dict.__new__(kind) if issubclass(kind, dict) else object.__new__(kind)


def fill(instance: Any, state: Any) -> set[str]:
    """Put a state into an empty instance. Returns the release that wrote it, where it says so."""
    from sklearn.isotonic import IsotonicRegression
    from sklearn.utils import Bunch

    if state in ((), None) or isinstance(instance, Bunch):
        return set()
    expect(type(state) is dict, f"the state of a {type(instance).__name__} is no dict")
    vars(instance).update(state)
    version = vars(instance).pop("_sklearn_version", None)
    if isinstance(instance, IsotonicRegression) and "X_thresholds_" in state:
        IsotonicRegression._build_f(instance, instance.X_thresholds_, instance.y_thresholds_)
    return {version} if type(version) is str else set()


def look_at(instance: Any) -> None:
    """Let no attribute stand before a method of the class."""
    kind = type(instance)
    for key in vars(instance):
        expect(
            type(key) is str
            and not key.startswith("__")
            and not callable(getattr(kind, key, None)),
            f"the state of a {kind.__name__} sets {key!r}",
        )
