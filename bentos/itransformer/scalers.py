"""A pickled StandardScaler, read as data.

Each name that the pickle calls for is answered by a stand-in of ours, or refused: no function of
another library is ever called, and nothing is imported. It is read in a process of its own.
Formats: CPython's pickletools, scikit-learn's `BaseEstimator.__getstate__`, numpy's
`ndarray.__reduce__`, joblib's `NumpyArrayWrapper`.
"""

import io
import math
import pickle
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from training.errors import InputError

Floats = NDArray[np.float64]
MOST_BYTES = 1024 * 1024
KINDS = {"f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "b1", "O8"}


class Scaler:
    """Stands in for sklearn's StandardScaler: what it had learned lies in `__dict__`."""


class Kind:
    """Stands in for a numpy dtype, of numbers or (O8) of Python objects."""

    def __init__(self, code: str, *ignored: object) -> None:
        if code not in KINDS:
            raise InputError(f"it holds an array of {code!r}; only numbers and names are read.")
        self.order = "<"
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def read(self, data: Any, shape: Any) -> NDArray[Any]:
        """Give the array of these bytes, or of these objects."""
        if self.code == "O8":
            return np.array([str(item) for item in data]).reshape(shape)
        return np.frombuffer(data, dtype=np.dtype(f"{self.order}{self.code}")).reshape(shape)


class Array:
    """Stands in for a numpy array while its state is awaited."""

    def __init__(self, *ignored: object) -> None:
        self.value: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, _, data = state
        self.value = kind.read(data, shape)


class Wrapper:
    """Stands in for joblib's NumpyArrayWrapper: the numbers follow it in the file."""

    def value(self, file: io.BytesIO) -> NDArray[Any]:
        """Read the numbers that follow."""
        state = self.__dict__
        kind: Kind = state["dtype"]
        if kind.code == "O8":
            raise InputError("it holds names as joblib writes them; pickle it instead.")
        if state.get("numpy_array_alignment_bytes") is not None:
            file.read(int.from_bytes(file.read(1), "little"))
        count = math.prod(state["shape"])
        return kind.read(file.read(count * int(kind.code[1:])), state["shape"])


def buffered(data: Any, kind: Kind, shape: Any, order: str) -> NDArray[Any]:
    """Stands in for numpy's `_frombuffer`, of protocol 5."""
    return kind.read(data, shape)


def scalar(kind: Kind, data: bytes) -> float:
    """Stands in for numpy's `scalar`."""
    return float(kind.read(data, ())[()])


STAND_INS: dict[str, Any] = {
    "StandardScaler": Scaler,
    "NumpyArrayWrapper": Wrapper,
    "ndarray": Array,
    "dtype": Kind,
    "_reconstruct": Array,
    "_frombuffer": buffered,
    "scalar": scalar,
}
NAMES = {
    *("sklearn.preprocessing._data.StandardScaler", "sklearn.preprocessing.data.StandardScaler"),
    *("joblib.numpy_pickle.NumpyArrayWrapper", "numpy.ndarray", "numpy.dtype"),
    *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
    *(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")),
    *(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")),
}


class Reader(pickle._Unpickler):
    """Python's own unpickler, with our stand-ins for every name."""

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in of a name. Raises `InputError` for all that is not on the list."""
        full = f"{module}.{name}"
        if full not in NAMES:
            raise InputError(f"it calls for {full!r}; only a StandardScaler is read.")
        return STAND_INS[name]

    def build(self) -> None:
        """Give a stand-in its state; nothing else has one."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Kind | Array):
            target.__setstate__(state)
        elif isinstance(target, Scaler | Wrapper) and isinstance(state, dict):
            target.__dict__.update(state)
        else:
            raise InputError(f"it gives a state to a {type(target).__name__}.")
        if isinstance(target, Wrapper):
            self.stack[-1] = target.value(self.file)

    dispatch[pickle.BUILD[0]] = build


def read(path: Path) -> tuple[Floats, Floats, list[str]]:
    """Mean and scale of each column, and the columns' names if it knows them.

    Raises `InputError` for whatever is no StandardScaler that has learned.
    """
    content = path.read_bytes()
    if len(content) > MOST_BYTES:
        raise InputError(f"The .pkl has {len(content):,} bytes; a scaler has fewer.")
    try:
        found = Reader(io.BytesIO(content)).load()
        if not isinstance(found, Scaler):
            raise InputError(f"it holds a {type(found).__name__}.")
        return _learned(found.__dict__)
    except InputError as error:
        raise InputError(f"The .pkl holds no plain StandardScaler: {error.message}") from error
    except Exception as error:  # of a broken pickle anything may come
        raise InputError(f"The .pkl cannot be read: {type(error).__name__}: {error}") from error


def _learned(state: dict[str, Any]) -> tuple[Floats, Floats, list[str]]:
    if "mean_" not in state or "scale_" not in state:
        raise InputError("it has no mean_ or scale_: fit it first.")
    count = int(state.get("n_features_in_", 0)) or len(_floats(state["mean_"]))
    mean = _floats(state["mean_"]) if state.get("with_mean", True) else np.zeros(count)
    scale = _floats(state["scale_"]) if state.get("with_std", True) else np.ones(count)
    if not mean.shape == scale.shape == (count,):
        raise InputError(
            f"mean_ {mean.shape} and scale_ {scale.shape} are not of {count} columns."
        )
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise InputError("mean_ must be finite, scale_ finite and above 0.")
    names = state.get("feature_names_in_")
    columns = [] if names is None else [str(name) for name in _value(names).tolist()]
    return mean, scale, columns


def _floats(value: Any) -> Floats:
    array: Floats = _value(value).astype(np.float64)
    return array


def _value(value: Any) -> NDArray[Any]:
    array = value.value if isinstance(value, Array) else value
    if not isinstance(array, np.ndarray):
        raise InputError(f"it has a {type(array).__name__} where an array belongs.")
    return array


def write(path: Path, mean: Floats, scale: Floats, columns: list[str]) -> None:
    """Pickle the StandardScaler of these numbers, as scikit-learn itself does."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaler.mean_, scaler.scale_, scaler.var_ = mean, scale, scale**2
    scaler.n_features_in_, scaler.n_samples_seen_ = len(mean), 1
    scaler.feature_names_in_ = np.array(columns, dtype=object)
    path.write_bytes(pickle.dumps(scaler, protocol=4))
