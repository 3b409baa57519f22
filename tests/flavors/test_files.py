"""Files that would run code, read others, or hang: refused before their libraries get them."""

import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Thread, get_ident
from typing import Any
from zipfile import ZipFile

import onnx
import pytest
from onnx import TensorProto, helper

from bentos.flavors.booster_files import check_skops, check_text
from bentos.flavors.opening import open_model
from bentos.flavors.torch_file import open_program
from tests.flavors.kinds import CASES
from tests.flavors.logged import saved
from tests.serving.refusals import refused

TEXT = CASES["lightgbm booster"]().model.model_to_string()


def changed(path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """The archive again, with one member changed, or added."""
    with ZipFile(path) as archive:
        members = {info: archive.read(info) for info in archive.namelist()}
    members[name] = change(members.get(name, b""))
    with ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)


def program(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def apply(content: bytes) -> bytes:
        described = json.loads(content)
        change(described)
        return json.dumps(described).encode()

    return apply


def calls(target: str) -> Callable[[Any], Any]:
    return lambda p: p["graph_module"]["graph"]["nodes"][0].update(target=target)


def sized(text: str) -> Callable[[Any], Any]:
    def change(described: Any) -> None:
        sizes = described["graph_module"]["graph"]["tensor_values"]["input"]["sizes"]
        sizes[0]["as_expr"]["expr_str"] = text

    return change


def pickled(_: bytes) -> bytes:
    import torch

    buffer = BytesIO()
    torch.save(Path("x"), buffer)
    return buffer.getvalue()


MODEL = "model/models/model.json"
WEIGHTS = "model/data/weights/model_weights_config.json"
PROGRAMS: dict[str, tuple[Any, str, Callable[[bytes], bytes], str]] = {
    "file": ("code", MODEL, program(calls("torch.ops.aten.from_file.default")), "from_file"),
    "hub": ("code", MODEL, program(calls("torch.hub.load")), "torch.hub.load"),
    "operator": ("code", MODEL, program(calls("_operator.methodcaller")), "methodcaller"),
    "size": ("code", MODEL, program(sized("__import__('os').system('true')")), "no arithmetic"),
    "attribute": ("code", MODEL, program(sized("Symbol.mro")), "no arithmetic"),
    "samples": ("pickle", "model/data/sample_inputs/model.pt", pickled, "no tensors"),
    "object": ("pickle", "model/data/constants/custom_obj_0", pickled, "is no tensor"),
    "compiled": ("pickle", "model/data/aotinductor/model/x.so", pickled, "is no tensor"),
    "weight": ("pickle", WEIGHTS, lambda c: c.replace(b'"use_pickle": false',
        b'"use_pickle": true'), "as a pickle"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pt2_file_that_does_more_than_compute(name: str, tmp_path: Path) -> None:
    reason, member, change, message = PROGRAMS[name]
    mlmodel = saved(CASES["torch"](), "both", tmp_path)
    changed(mlmodel.folder / "data/model.pt2", member, change)
    refused(reason, message, lambda: open_model(mlmodel))


def test_a_pt2_file_that_is_none(tmp_path: Path) -> None:
    mlmodel = saved(CASES["torch"](), "both", tmp_path)
    (mlmodel.folder / "data/model.pt2").write_bytes(b"no archive")
    refused("load", "is no pt2 file", lambda: open_model(mlmodel))


def graph(path: Path, change: Callable[[Any], Any]) -> None:
    model = onnx.load(str(path))
    change(model)
    path.write_bytes(model.SerializeToString())


def elsewhere(model: Any) -> None:
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../secrets.bin")


def in_a_branch(model: Any) -> None:
    tensor = helper.make_tensor("inner", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["made"], value=tensor)],
        "branch",
        [],
        [helper.make_tensor_value_info("made", TensorProto.FLOAT, [1])],
    )
    model.graph.node.append(
        helper.make_node("If", ["points"], ["unused"], then_branch=branch, else_branch=branch)
    )


@pytest.mark.parametrize(
    ("reason", "message", "change"),
    [
        ("load", "which is not beside it", elsewhere),
        ("load", "which is not beside it", in_a_branch),
        ("flavor", "operators of 'evil'", lambda m: m.opset_import.add(domain="evil", version=1)),
    ],
)
def test_a_graph_with_foreign_parts(
    reason: Any, message: str, change: Callable[[Any], Any], tmp_path: Path
) -> None:
    mlmodel = saved(CASES["onnx"](), "signature", tmp_path)
    graph(mlmodel.folder / "model.onnx", change)
    refused(reason, message, lambda: open_model(mlmodel))


def line(text: str, name: str, at: int, value: int) -> str:
    """LightGBM's text with one number of its first tree changed."""
    head, rest = text.split(f"\n{name}=", 1)
    numbers, tail = rest.split("\n", 1)
    values = numbers.split()
    values[at] = str(value)
    return f"{head}\n{name}={' '.join(values)}\n{tail}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("left_child", 0, "points outside itself"),
        ("right_child", 10**6, "points outside itself"),
        ("left_child", -(10**6), "points outside itself"),
        ("split_feature", 99, "reads a column that is not there"),
    ],
)
def test_lightgbms_trees_that_lead_astray(
    name: str, value: int, message: str, tmp_path: Path
) -> None:
    mlmodel = saved(CASES["lightgbm booster"](), "signature", tmp_path)
    (mlmodel.folder / "model.lgb").write_text(line(TEXT, name, 0, value))
    refused("load", message, lambda: open_model(mlmodel))


def test_lightgbms_text_that_is_cut_short() -> None:
    check_text(TEXT)
    refused("load", "no num_leaves", lambda: check_text(TEXT.replace("num_leaves", "leaves")))
    shorter = line(TEXT, "left_child", 0, 1).replace("left_child=1 ", "left_child=")
    refused("load", "left_child", lambda: check_text(shorter))


def test_lightgbms_text_inside_a_skops_file(tmp_path: Path) -> None:
    mlmodel = saved(CASES["lightgbm wrapper"](), "signature", tmp_path)
    path = mlmodel.folder / "model.skops"
    check_skops(path)
    changed(path, "schema.json", lambda c: re.sub(rb"left_child=\d+", b"left_child=0", c))
    refused("load", "points outside itself", lambda: check_skops(path))
    refused("load", "points outside itself", lambda: open_model(mlmodel))


def test_xgboosts_trees_that_lead_back(tmp_path: Path) -> None:
    import xgboost

    mlmodel = saved(CASES["xgboost booster"](), "signature", tmp_path)
    path = mlmodel.folder / "model.ubj"
    described = json.loads(xgboost.Booster(model_file=str(path)).save_raw("json"))
    tree = described["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][1] = 0
    path.write_bytes(json.dumps(described).encode())
    (mlmodel.folder / "model.json").write_bytes(path.read_bytes())
    mlmodel.options["data"] = "model.json"
    refused("load", "points outside itself|while loading", lambda: open_model(mlmodel))


def test_a_library_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    mlmodel = saved(CASES["xgboost booster"](), "signature", tmp_path)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    refused("library", r"pip install 'ascenso\[xgboost\]'", lambda: open_model(mlmodel))


def test_pt2_files_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlmodel = saved(CASES["torch"](), "both", tmp_path)
    path, read = mlmodel.folder / "data/model.pt2", list[int]()
    other = Thread(target=open_program, args=[path])

    def load(_: Path) -> None:
        read.append(get_ident())
        if len(read) == 1:
            other.start()
            other.join(0.1)
            assert len(read) == 1

    monkeypatch.setattr("torch.export.load", load)
    open_program(path)
    other.join(60)
    assert read == [get_ident(), other.ident]
