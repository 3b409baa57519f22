"""A pickled torch model, read as data: a stack of torch's own layers becomes a program.

torch's reader of weights makes tensors and the layers that are listed here, nothing else. What
they hold is looked at before any of it runs. A program of `torch.export` is made of them, which
workers open instead. See https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only
"""

import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.schemas import schema_of
from bentos.flavors.torch_file import MOST_BYTES
from bentos.refusal import Refusal
from bentos.tensors import Schema

MEND = "log the model again with an input_example of two rows or more: MLflow writes pt2 then"
ROWS, ANY_SIZE = 3, 5  # no sizes that torch takes for special, as 0 and 1
_LAYERS = {
    "container": "Sequential",
    "linear": "Identity Linear",
    "flatten": "Flatten Unflatten",
    "sparse": "Embedding",
    "conv": "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d",
    "batchnorm": "BatchNorm1d BatchNorm2d BatchNorm3d",
    "instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    "normalization": "CrossMapLRN2d GroupNorm LayerNorm LocalResponseNorm RMSNorm",
    "dropout": "AlphaDropout Dropout Dropout1d Dropout2d Dropout3d FeatureAlphaDropout",
    "activation": "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU "
    "LogSigmoid LogSoftmax Mish PReLU ReLU ReLU6 SELU SiLU Sigmoid Softmax Softmax2d Softmin "
    "Softplus Softshrink Softsign Tanh Tanhshrink Threshold",
    "pooling": "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d "
    "AdaptiveMaxPool2d AdaptiveMaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d "
    "MaxPool1d MaxPool2d MaxPool3d",
    "padding": "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d "
    "ConstantPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d ReplicationPad1d "
    "ReplicationPad2d ReplicationPad3d ZeroPad1d ZeroPad2d ZeroPad3d",
    "upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
    "pixelshuffle": "PixelShuffle PixelUnshuffle",
    "channelshuffle": "ChannelShuffle",
    "fold": "Fold Unfold",
}
LAYERS = frozenset(
    f"torch.nn.modules.{module}.{name}" for module in _LAYERS for name in _LAYERS[module].split()
)
PLAIN = (bool, int, float, str, type(None))


def open_layers(path: Path, mlmodel: MLmodel) -> Any:
    """The program of the layers in a file. Raises Refusal for whatever else it holds."""
    layers = read_layers(path)
    return _program(layers, *_row(layers, mlmodel))


def read_layers(path: Path) -> Any:
    """The layers in a file, looked at. Raises Refusal for whatever else it holds."""
    import torch

    _check_archive(path)
    _check_names(path)
    known = [_imported(name) for name in sorted(LAYERS)]
    with torch.serialization.safe_globals(known):
        layers = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(layers, torch.nn.Module):
        raise Refusal("load", f"{path.name} holds a {type(layers).__name__}, which is no model")
    _check_layers(layers, path.name)
    return layers.eval()


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            held = archive.infolist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise Refusal("load", f"{path.name} is no file of torch.save: {error}; {MEND}") from error
    twice = [name for name, count in Counter(one.filename for one in held).items() if count > 1]
    if twice or any(one.compress_type != zipfile.ZIP_STORED for one in held):
        raise Refusal("load", f"{path.name} is packed as torch.save packs nothing")
    if sum(one.file_size for one in held) > MOST_BYTES:
        raise Refusal("load", f"{path.name} would take more than {MOST_BYTES >> 20} MB")


def _check_names(path: Path) -> None:
    """Raise Refusal for the first name that nobody has looked at; nothing is made yet."""
    from torch.serialization import get_unsafe_globals_in_checkpoint as names_in

    try:
        foreign = sorted(set(names_in(path)) - LAYERS)
    except Exception as error:  # it knows the instructions of torch.save alone
        raise Refusal(
            "pickle", f"{path.name} holds code, or a class of your own, beside torch's: {MEND}"
        ) from error
    if foreign:
        raise Refusal(
            "pickle", f"{foreign[0]} is not a type that Ascenso knows in a torch model: {MEND}"
        )


def _imported(name: str) -> Any:
    from importlib import import_module

    module, _, kind = name.rpartition(".")
    return getattr(import_module(module), kind)


def _check_layers(layers: Any, where: str) -> None:
    """Raise Refusal unless each layer is one of ours, and holds tensors and settings alone."""
    seen: set[int] = set()
    waiting = [layers]
    while waiting:
        layer = waiting.pop()
        kind = type(layer)
        if id(layer) in seen or f"{kind.__module__}.{kind.__qualname__}" not in LAYERS:
            raise Refusal("pickle", f"{where} holds a {kind.__qualname__} where no layer can be")
        seen.add(id(layer))
        for name, value in vars(layer).items():
            if not _may_hold(kind, name, value):
                raise Refusal("pickle", f"{where} has a {kind.__name__} with another {name!r}")
        waiting += [inner for inner in layer._modules.values() if inner is not None]


def _may_hold(kind: type, name: str, value: Any) -> bool:
    if callable(getattr(kind, name, None)):
        return False
    if name == "_modules":
        return _is_dict(value) and all("." not in key for key in value)
    if name in ("_parameters", "_buffers"):
        return _is_dict(value) and all(map(_is_weight, value.values()))
    if name == "_non_persistent_buffers_set":
        return all(type(one) is str for one in value)
    return not value if name.endswith(("hooks", "_kwargs", "_called")) else _is_plain(value)


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) and all(type(key) is str for key in value)


def _is_weight(value: Any) -> bool:
    import torch

    if value is None:
        return True
    kinds = (torch.Tensor, torch.nn.Parameter)
    return type(value) in kinds and value.layout is torch.strided and value.device.type == "cpu"


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(type(one) in PLAIN for one in value)
    return type(value) in PLAIN


def _row(layers: Any, mlmodel: MLmodel) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of one row: by signature or example, else by the first layer."""
    import torch

    first = next(inner for inner in layers.modules() if not isinstance(inner, torch.nn.Sequential))
    dtype = "int64" if isinstance(first, torch.nn.Embedding) else "float32"
    try:
        return _shape(schema_of(mlmodel, None)), dtype
    except Refusal:
        if isinstance(first, torch.nn.Linear):
            return (first.in_features,), dtype
        raise


def _shape(schema: Schema) -> tuple[int, ...]:
    if any(column.shape for column in schema.inputs) and schema.single is None:
        raise Refusal("schema", f"layers take one tensor; {schema.known()}")
    return schema.single.shape if schema.single else (len(schema.inputs),)


def _program(layers: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Layers as a program that takes any number of rows."""
    import torch

    free = {at + 1: torch.export.Dim.DYNAMIC for at, size in enumerate(shape) if size < 0}
    rows = torch.zeros(
        [ROWS, *(ANY_SIZE if size < 0 else size for size in shape)], dtype=getattr(torch, dtype)
    )
    sizes = ({0: torch.export.Dim("rows"), **free},)
    try:
        with torch.no_grad():
            return torch.export.export(layers, (rows,), dynamic_shapes=sizes, strict=False)
    except Exception as error:
        said = str(error).strip().splitlines() or [""]
        raise Refusal(
            "load", f"torch makes no program of these layers ({said[0][:200]}): {MEND}"
        ) from error
