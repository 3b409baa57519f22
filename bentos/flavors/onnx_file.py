"""An ONNX file: standard operators alone, and no data from outside the version's folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bentos.refusal import Refusal

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
ELSEWHERE = 1  # TensorProto.EXTERNAL


def open_onnx(path: Path) -> Any:
    """A session of the file. Raises Refusal when it asks for other operators or files."""
    import onnx
    import onnxruntime

    _check(onnx.load(str(path), load_external_data=False), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a batch has its core; more would take others' cores
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _check(model: Any, path: Path) -> None:
    own = {function.domain for function in model.functions}
    if odd := sorted({entry.domain for entry in model.opset_import} - DOMAINS - own):
        raise Refusal("flavor", f"{path.name} has operators of {odd[0]!r}; ONNX's own are served")
    for tensor in _tensors([model.graph, *model.functions, *model.training_info]):
        if tensor.data_location == ELSEWHERE:
            _check_place(tensor, path)


def _check_place(tensor: Any, path: Path) -> None:
    place = next((e.value for e in tensor.external_data if e.key == "location"), "")
    file = (path.parent / place).resolve()
    if not file.is_relative_to(path.parent.resolve()) or not file.is_file():
        raise Refusal("load", f"{path.name} has data at {place!r}, which is not beside it")


def _tensors(parts: list[Any]) -> Iterator[Any]:
    """Every tensor of graphs, and of those within their nodes."""
    from onnx import TensorProto

    waiting = list(parts)
    while waiting:
        part = waiting.pop()
        if isinstance(part, TensorProto):
            yield part
            continue
        for descriptor, value in part.ListFields():
            if descriptor.message_type is not None:
                waiting += [value] if hasattr(value, "ListFields") else list(value)
