"""Models as graphs that give exactly their answers, and run in microseconds.

`compile_model` makes a graph, or raises `NoGraph` with the reason; `Session` runs it, and needs
neither the model's library nor the compiler.
"""

from bentos.flavors.graphs.compiled import Compiled, NoGraph
from bentos.flavors.graphs.session import Session
from bentos.tensors import Schema

__all__ = ["Compiled", "NoGraph", "Session", "compile_model"]


def compile_model(
    model: object, schema: Schema, method: str = "predict", probabilities: bool = False
) -> Compiled:
    """The graph of what `model.<method>` gives for columns of the schema. Raises NoGraph."""
    from bentos.flavors.graphs.compiling import compile_model

    return compile_model(model, schema, method, probabilities)
