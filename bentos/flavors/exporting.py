"""From a network to a graph with its answers, by `torch.export` and `torch.onnx`.

It takes seconds and hundreds of megabytes, so only the process that judges a version does it.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import torch

from bentos.flavors.graphs import NoGraph
from bentos.flavors.networks import SIDES, Sides
from bentos.flavors.torch_networks import network_of
from bentos.flavors.translations import renamed, translations

ROWS, ANY_SIZE = 3, 5  # no sizes that torch takes for special, as 0 and 1
LONGEST = 300  # characters of what torch says


class Keras(torch.nn.Module):
    """A Keras model, as it is asked for answers."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *rows: torch.Tensor) -> list[Any]:
        """All outputs."""
        given = self.model(rows[0] if len(rows) == 1 else list(rows), training=False)
        many = given.values() if isinstance(given, dict) else given
        return list(many) if isinstance(given, dict | list | tuple) else [given]


class Program(torch.nn.Module):
    """A program of `torch.export`, without what it says of the rows that it was made of."""

    def __init__(self, program: Any) -> None:
        super().__init__()
        self.model = program.module(check_guards=False)

    def forward(self, *rows: torch.Tensor) -> Any:
        """All outputs."""
        return self.model(*rows)


class Forecaster(torch.nn.Module):
    """A forecaster between its scalings, as `training.itransformer.forecaster` asks it."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, forecaster: Any) -> None:
        super().__init__()
        self.network = forecaster.network
        for name in ("mean", "scale"):
            values = torch.tensor(getattr(forecaster.config, name), dtype=torch.float64)
            self.register_buffer(name, values)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """The forecasts in the units of the windows."""
        width = len(self.mean)
        scaled = (windows[..., :width] - self.mean) / self.scale
        rows = torch.cat([scaled, windows[..., width:]], dim=-1).float()
        forecasts: torch.Tensor = self.network(rows).double() * self.scale + self.mean
        return forecasts


def prepare() -> None:
    """Import what exporting needs."""
    import onnxscript.function_libs.torch_lib.ops  # noqa: F401
    import torch._dynamo
    import torch.onnx._internal.exporter._core  # noqa: F401


def export(model: Any) -> bytes:
    """The graph of a network, which `networks.of_graph` opens. Raises NoGraph."""
    network = network_of(model)
    if network is None:
        raise NoGraph(f"{type(model).__name__} is no network of torch")
    sides = network.sides
    try:
        made = _made(model, sides)
    except Exception as error:
        raise NoGraph(f"torch cannot export it: {_said(error)}") from error
    if made is None:
        raise NoGraph("torch cannot export it")
    proto = made.model_proto
    proto.metadata_props.add(key=SIDES, value=msgspec.json.encode(sides).decode())
    return bytes(proto.SerializeToString())


def _made(model: Any, sides: Sides) -> Any:
    """What the exporter gives. A program that it does not take is exported once more before.

    Such is one that was made of rows as pandas lays them out, column after column.
    """
    if isinstance(model, torch.export.ExportedProgram):
        with suppress(Exception):
            return _exported(model, sides)
    return _exported(_program(model, sides), sides)


def _exported(program: Any, sides: Sides) -> Any:
    return torch.onnx.export(
        renamed(program),
        dynamo=True,
        verbose=False,
        input_names=[f"in{at}" for at in range(len(sides.inputs))],
        output_names=[f"out{at}" for at in range(max(1, len(sides.outputs)))],
        custom_translation_table=translations(),
    )


def _program(model: Any, sides: Sides) -> Any:
    module = _module(model)
    examples = tuple(
        torch.zeros(
            [
                ROWS if shape[0] < 0 else shape[0],
                *(ANY_SIZE if size < 0 else size for size in shape[1:]),
            ],
            dtype=_dtype(dtype),
        )
        for _, dtype, shape in sides.inputs
    )
    rows = torch.export.Dim("rows")
    sizes = tuple(_sizes(rows, shape) for _, _, shape in sides.inputs)
    with torch.no_grad():
        return torch.export.export(
            module, examples, strict=False,
            dynamic_shapes=sizes if isinstance(module, Forecaster) else (sizes,),
        )  # fmt: skip


def _module(model: Any) -> torch.nn.Module:
    if isinstance(model, torch.export.ExportedProgram):
        return Program(model)
    module = Forecaster(model) if hasattr(model, "network") else Keras(model)
    return module.eval()


def _sizes(rows: Any, shape: tuple[int, ...]) -> Mapping[int, Any]:
    """Which dimensions may vary: the rows, and those of no fixed size."""
    free = {at: torch.export.Dim.DYNAMIC for at, size in enumerate(shape) if at and size < 0}
    return {0: rows, **free} if shape[0] < 0 else free


def _dtype(name: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, name)
    return found


def _said(error: BaseException) -> str:
    """The first words of the error that was at the beginning."""
    while error.__cause__ is not None:
        error = error.__cause__
    if str(error).startswith("Constraints violated"):
        return "it fixes the number of rows, or another size that may vary"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:LONGEST]
