"""Operators that torch's exporter translates otherwise than torch computes, or not at all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

DEGREE = 32  # of a polynomial with the precision of float64


def renamed(program: Any) -> Any:
    """A program without second names of operators, of which the exporter forgets the casts.

    Those with a number keep theirs: by the first ones it would become float32.
    """
    aten = torch.ops.aten
    names = {
        aten.subtract.Tensor: aten.sub.Tensor,
        aten.multiply.Tensor: aten.mul.Tensor,
        aten.divide.Tensor: aten.div.Tensor,
        aten.true_divide.Tensor: aten.div.Tensor,
    }
    for node in program.graph.nodes:
        if node.op == "call_function" and len(node.all_input_nodes) == len(node.args):
            node.target = names.get(node.target, node.target)
    return program


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What the exporter takes in place of its own."""
    aten: Any = torch.ops.aten
    return {
        aten.embedding.default: _embedding,
        aten.erfc.default: _erfc,
    }


def _embedding(weight: Any, indices: Any, *_: Any, **__: Any) -> Any:
    """A negative index is out of range, as in torch; ONNX counts it from the end."""
    op = _operators()
    size = op.CastLike(op.Squeeze(op.Shape(weight, start=0, end=1)), indices)
    negative = op.Less(indices, op.Sub(size, size))
    return op.Gather(weight, op.Where(negative, size, indices), axis=0)


def _erfc(x: Any) -> Any:
    """The complementary error function in float64; ONNX has only float32's error function.

    For x >= 0 it is t exp(p(t) - x^2) with t = 2 / (2 + x), and p a polynomial.
    """
    op = _operators()
    wide = op.Cast(x, to=11)  # to float64
    size, zero = op.Abs(wide), _constant(np.array(0.0))
    one, two = _constant(np.array(1.0)), _constant(np.array(2.0))
    t = op.Div(two, op.Add(two, size))
    place, last = op.Sub(op.Mul(two, t), one), op.Constant(value_ints=[-1])
    terms = op.Pow(op.Unsqueeze(place, last), _constant(np.arange(DEGREE + 1.0)))
    powers = op.Squeeze(op.MatMul(terms, _constant(_polynomial()[:, None])), last)
    tail = op.Mul(t, op.Exp(op.Sub(powers, op.Mul(size, size))))
    return op.CastLike(op.Where(op.Less(wide, zero), op.Sub(two, tail), tail), x)


def _polynomial() -> NDArray[np.float64]:
    """The coefficients of log(exp(x^2) erfc(x) / t), in 2 t - 1."""
    from scipy.special import erfcx

    def exact(place: NDArray[np.float64]) -> NDArray[np.float64]:
        t = (place + 1) / 2
        return np.asarray(np.log(erfcx(2 / t - 2) / t))

    fitted = np.polynomial.Chebyshev.interpolate(exact, DEGREE)
    return np.asarray(fitted.convert(kind=np.polynomial.Polynomial).coef)


def _operators() -> Any:
    from onnxscript import opset18

    return opset18


def _constant(values: NDArray[Any]) -> Any:
    from onnx import numpy_helper

    return _operators().Constant(value=numpy_helper.from_array(np.asarray(values)))
