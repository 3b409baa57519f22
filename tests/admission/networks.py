"""Networks, and the graphs that are made of them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bentos.admission import networks
from bentos.flavors.natives import Predict, guarded
from bentos.flavors.networks import graph_predict
from bentos.flavors.samples import made_up
from bentos.flavors.torch_networks import network_of
from bentos.tensors import Batch, Schema


class Words(nn.Module):
    """Words of 30, and numbers beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(30, 4), nn.Linear(4, 2)

    def forward(self, words: torch.Tensor, beside: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = self.out(self.words(words).mean(1) + beside)
        return scores.softmax(-1), scores.argmax(-1)


class Frozen(nn.Module):
    """Of as many rows as its example has."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows, self.out = rows, nn.Linear(3, 4)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.out(given)
        return made.reshape(self.rows, 2, 2)


class Tail(nn.Module):
    """What ONNX, or torch's exporter, would compute in float32."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        moved = torch.subtract(torch.divide(given, 0.3), torch.tensor(0.1))
        return torch.cat([torch.erfc(given), moved], dim=1)


class Inverse(nn.Module):
    """What ONNX has no operator for."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = torch.linalg.inv(given + 10 * torch.eye(2))
        return made


class Noise(nn.Module):
    """What is another number each time."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given + torch.rand_like(given)


def program(module: nn.Module, *examples: torch.Tensor, free: bool = True) -> Any:
    torch.manual_seed(0)
    sizes = tuple({0: torch.export.Dim("rows")} for _ in examples) if free else None
    return torch.export.export(module.eval(), examples, dynamic_shapes=sizes)


def tensors(model: Any) -> tuple[Schema, Predict, Batch]:
    """The schema that a network carries, its own answers, and samples."""
    network = network_of(model)
    assert network
    carried = network.carried()
    schema = carried.schema()
    return schema, guarded(schema, network.predict(schema)), made_up(schema, carried)


def compiled(model: Any, path: Path) -> tuple[Schema, Predict, Predict]:
    schema, native, samples = tensors(model)
    found = networks.compile_network(
        model, schema, native, samples, graph_predict, path / "g", 300.0
    )
    assert found.note.startswith("20,")
    return schema, native, graph_predict((path / "g").read_bytes(), schema)


def alike(native: Batch, graph: Batch, small: float = 1e-5) -> None:
    assert native.names == graph.names
    for name, wanted in native.items():
        assert graph[name].dtype == wanted.dtype
        np.testing.assert_allclose(graph[name], wanted, rtol=small, atol=small)


def some_torch_words() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(0, 30, (3, 6)), torch.randn(3, 4)
