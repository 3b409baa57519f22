"""Functions of numbers that ONNX lacks or rounds otherwise, and transformers made of functions.

`log1p` and `expm1` are Kahan's: what rounding 1 + x loses is put right by the quotient of both.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bentos.flavors.graphs.builder import Builder
from bentos.flavors.graphs.columns import Frame, reaches
from bentos.flavors.graphs.compiled import NoGraph
from bentos.flavors.graphs.registry import transformer
from bentos.flavors.graphs.scalers import standard

Floats: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[[Builder, str], str]


def log1p(b: Builder, x: str) -> str:
    """log(1 + x), float64."""
    more = b.math("Add", x, 1.0)
    lost = b.math("Sub", more, 1.0)
    zero = b.node("Equal", lost, b.constant(0.0), dtype=np.bool_)
    divisor = b.node("Where", zero, b.constant(1.0), lost, dtype=np.float64)
    right = b.math("Mul", b.node("Log", more, dtype=np.float64), b.math("Div", x, divisor))
    return b.node("Where", zero, x, right, dtype=np.float64)


def expm1(b: Builder, x: str) -> str:
    """exp(x) - 1, float64."""
    power = b.node("Exp", x, dtype=np.float64)
    less = b.math("Sub", power, 1.0)
    log = b.node("Log", power, dtype=np.float64)
    zero = b.node("Equal", log, b.constant(0.0), dtype=np.bool_)
    divisor = b.node("Where", zero, b.constant(1.0), log, dtype=np.float64)
    right = b.math("Mul", b.math("Div", x, divisor), less)
    # Where exp(x) rounds to 1 the answer is x; far out, where its logarithm says nothing, `less`.
    right = b.node("Where", zero, x, right, dtype=np.float64)
    size = b.node("Abs", x, dtype=np.float64)
    far = b.node("Greater", size, b.constant(30.0), dtype=np.bool_)
    return b.node("Where", far, less, right, dtype=np.float64)


def simple(kind: str) -> Function:
    """A function that is one operator."""
    return lambda b, x: b.node(kind, x, dtype=b.types[x])


def _square(b: Builder, x: str) -> str:
    return b.math("Mul", x, x)


# numpy's name: how it is made, and whether it gives a number for every number.
FUNCTIONS: dict[str, tuple[Function, bool]] = {
    "log1p": (log1p, False),
    "expm1": (expm1, False),
    "log": (simple("Log"), False),
    "exp": (simple("Exp"), False),
    "sqrt": (simple("Sqrt"), False),
    "square": (_square, True),
    "absolute": (simple("Abs"), True),
    "negative": (simple("Neg"), True),
    "sin": (simple("Sin"), True),
    "cos": (simple("Cos"), True),
    "tanh": (simple("Tanh"), True),
    "reciprocal": (simple("Reciprocal"), False),
}


def named(function: Any) -> str:
    """The name of one of numpy's functions. Raises NoGraph for others."""
    name = getattr(function, "__name__", "")
    if not isinstance(function, np.ufunc) or name not in FUNCTIONS:
        raise NoGraph(f"the function {name or function!r} has no exact form")
    return name


@transformer("FunctionTransformer")
def function(b: Builder, model: Any, frame: Frame) -> Frame:
    """One of numpy's functions, or nothing."""
    if model.func is None:
        return frame
    if model.kw_args:
        raise NoGraph("a function with kw_args has no exact form")
    name = named(model.func)
    return applied(b, name, frame)


def applied(b: Builder, name: str, frame: Frame) -> Frame:
    """The columns after one of numpy's functions; what has no value there is refused."""
    make, total = FUNCTIONS[name]
    tensor = b.matrix(frame)
    if b.types[tensor] != np.float64:
        raise NoGraph(f"{name} in float32 has no exact form")
    made = make(b, tensor)
    with np.errstate(all="ignore"):
        ends = np.abs(getattr(np, name)(np.stack([reaches(frame), -reaches(frame)])))
    far = np.nan_to_num(np.nanmax(np.append(ends, np.ones((1, len(frame))), axis=0), axis=0))
    if not total:
        _guard(b, tensor, made, name, frame)
        far = np.minimum(far, np.finfo(np.float64).max / 2)
    new = b.frame(made, far)
    return tuple(replace(n, doors=o.doors) for n, o in zip(new, frame, strict=True))


def _guard(b: Builder, before: str, after: str, name: str, frame: Frame) -> None:
    """Refuse rows in which a number has become infinite or none at all."""
    for at, column in enumerate(frame):
        change = b.math("Mul", b.select(after, [at]), 0.0)  # nan unless finite
        lost = b.node("IsNaN", change, dtype=np.bool_)
        missing = b.node("IsNaN", b.select(before, [at]), dtype=np.bool_)
        here = b.node("Not", missing, dtype=np.bool_)
        bad = b.node("And", lost, here, dtype=np.bool_)
        b.guards.append((bad, f"has no finite {name}", column.source or ""))


@transformer("PowerTransformer")
def power(b: Builder, model: Any, frame: Frame) -> Frame:
    """Yeo and Johnson's powers, column by column, then a StandardScaler."""
    lambdas = np.asarray(model.lambdas_, dtype=np.float64)
    tensor = b.matrix(frame)
    if model.method != "yeo-johnson" or b.types[tensor] != np.float64:
        raise NoGraph("PowerTransformer by Box and Cox, or in float32, has no exact form")
    if np.any(np.abs(lambdas) < 1e-12) or np.any(np.abs(lambdas - 2) < 1e-12):
        raise NoGraph("PowerTransformer with a lambda of 0 or 2 has no exact form")
    zero = b.constant(0.0)
    up = b.node("Max", tensor, zero, dtype=np.float64)
    down = b.node("Max", b.node("Neg", tensor, dtype=np.float64), zero, dtype=np.float64)
    below = b.node("Less", tensor, zero, dtype=np.bool_)
    low = b.node("Neg", _raised(b, down, 2 - lambdas), dtype=np.float64)
    made = b.node("Where", below, low, _raised(b, up, lambdas), dtype=np.float64)
    with np.errstate(over="ignore"):
        ends = [_reach(reaches(frame), lambdas), _reach(reaches(frame), 2 - lambdas)]
    new = b.frame(made, np.max(ends, axis=0))
    frame = tuple(replace(n, doors=o.doors) for n, o in zip(new, frame, strict=True))
    return standard(b, model._scaler, frame) if model.standardize else frame


def _raised(b: Builder, x: str, exponents: Floats) -> str:
    return b.math("Div", expm1(b, b.math("Mul", log1p(b, x), exponents)), exponents)


def _reach(reach: Floats, exponents: Floats) -> Floats:
    return np.asarray(np.abs(np.expm1(exponents * np.log1p(reach)) / exponents))
