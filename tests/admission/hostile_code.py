"""Versions whose code does what it should not, when it runs; `canaries` shows what got out."""

import json
import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

# Before its deed, each tries to leave, to destroy and to call.
TRIES = """
import os, shutil, socket, sys, time
def tried(do, *arguments):
    try:
        do(*arguments)
        return 1
    except BaseException:
        return 0
got_out = [
    tried(lambda: open(SANG, "w").close()), tried(os.unlink, PRECIOUS),
    tried(os.unlink, FOLDER + "/MLmodel"),
    tried(lambda: socket.create_connection(("127.0.0.1", PORT), 5).close()),
]
"""
# What talks in the place of the process that opens a version.
TALKS = """
from bentos.flavors.elsewhere import wire
import numpy as np
frame = sys._getframe()
while frame.f_code.co_name != "main":
    frame = frame.f_back
out = frame.f_locals["out"]
def say(message):
    wire.write(out, message)
def heard():
    return wire.read(sys.stdin.buffer, wire.Ask | wire.Compile | wire.Write)
from bentos.tensors import Column, Schema
def opened(schema=None, **more):
    schema = schema or Schema((Column("a", "float64"),))
    said = dict(kind="Model", note="", releases={}, schema=schema, made_up=True, classes=(),
                samples=wire.packed({"a": np.arange(3.0)}), lacks="", shares=False)
    return wire.Opened(**(said | more))
def answer(column):
    while question := heard():
        if isinstance(question, wire.Ask):
            say(wire.Answers(column(np.frombuffer(question.rows["a"][2]))))
        elif isinstance(question, wire.Compile):
            say(GRAPH())
        else:
            say(wire.Failed("no"))
def doubled(rows):
    return wire.packed({"prediction": 2 * rows})
def graph(*nodes, **more):
    from onnx import TensorProto, helper
    import msgspec
    from bentos.flavors.graphs import door
    info = helper.make_tensor_value_info
    made = helper.make_graph(
        list(nodes), "model", [info("rows", TensorProto.DOUBLE, [None, 1])],
        [info("answer", TensorProto.DOUBLE, [None, None])],
    )
    ids = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)]
    proto = helper.make_model(made, opset_imports=ids, ir_version=10)
    entrance = door.Door((door.Entry("a"),), 1e30, (door.Output("prediction"),), flat=True)
    helper.set_model_props(proto, {door.PROPERTY: msgspec.json.encode(entrance).decode()})
    return wire.Graph(proto.SerializeToString(), {}, "exact")
def trees(**changed):
    from onnx import helper, numpy_helper
    has = dict(
        tree_roots=[0], nodes_featureids=[0, 0], nodes_truenodeids=[1, 0],
        nodes_falsenodeids=[1, 1], nodes_trueleafs=[0, 1], nodes_falseleafs=[1, 1],
        leaf_targetids=[0, 0], n_targets=1, aggregate_function=1, post_transform=0,
    )
    has |= changed
    node = helper.make_node("TreeEnsemble", ["rows"], ["answer"], domain="ai.onnx.ml", **has)
    arrays = dict(nodes_splits=np.zeros(2), leaf_weights=np.ones(2))
    arrays["nodes_modes"] = np.zeros(2, np.uint8)
    for name, array in arrays.items():
        node.attribute.append(helper.make_attribute(name, numpy_helper.from_array(array, name)))
    return graph(node)
"""


class Runs:
    """Pickled, it is a call of `exec`."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return exec, (self.code, {})


@dataclass(frozen=True)
class Canaries:
    """What would show that something got out, and versions that try."""

    folder: Path
    server: socket.socket

    def script(self, code: str) -> str:
        """What leaves traces, and then does this."""
        known = {"PRECIOUS": str(self.folder / "precious"), "SANG": str(self.folder / "sang")}
        known["FOLDER"] = str(self.folder / "model")
        values = "".join(f"{name} = {value!r}\n" for name, value in known.items())
        return f"{values}PORT = {self.server.getsockname()[1]}\n{TRIES}{code}"

    def version(self, code: str) -> Path:
        """The folder of a version that runs this when it is unpickled."""
        folder = self.folder / "model"
        folder.mkdir()
        (folder / "model.pkl").write_bytes(pickle.dumps(Runs(self.script(code))))
        columns = json.dumps([{"name": "a", "type": "double", "required": True}])
        options = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
        content = {"flavors": {"sklearn": options}, "signature": {"inputs": columns}}
        (folder / "MLmodel").write_text(yaml.safe_dump(content))
        return folder

    def sang(self) -> bool:
        """Whether a file was made or destroyed, or somebody called."""
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            whole = (self.folder / "precious").exists() and (
                self.folder / "model/MLmodel"
            ).exists()
            return (self.folder / "sang").exists() or not whole
        return True


@contextmanager
def canaries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    """Set up in a folder."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none of its business")
    (folder / "precious").write_text("still here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield Canaries(folder, server)


DEEDS: dict[str, tuple[str, str]] = {  # what it does, and what the refusal says
    "is no model": ("", "flavor: .*NoneType"),
    "says what got out": ("raise RuntimeError(f'out {got_out} {sorted(os.environ)}')",
                          r"load: .*out \[[01], 0, 0, 0\] (?!.*AWS).*OMP_NUM_THREADS"),
    "deletes folders": ("shutil.rmtree(os.path.dirname(SANG)); raise OSError(0)", "load: "),
    "forks": ("raise RuntimeError(f'{[tried(os.fork) for _ in range(9)]}')",
              r"load: .*\[0, 0, 0, 0, 0, 0, 0, 0, 0\]"),
    "starts programs": ("import subprocess; subprocess.Popen(['/bin/sleep', '600'])",
                        "load: .*Errno 38"),
    "fills memory": ("kept = [bytearray(100 << 20) for _ in range(60)]", "memory: "),
    "fills its files": ("for at in range(60): open(f'/tmp/{at}', 'wb').write(bytes(20 << 20))",
                        "load: .*No space left"),
    "computes for ever": ("while True: pass", "deadline: .*in quarantine.*deadline_seconds"),
    "kills its parent": ("os.kill(os.getppid(), 9); raise RuntimeError('alive')", "load: .*alive"),
    "kills itself": ("os.kill(os.getpid(), 11)", "crash: .*in quarantine ended with SIGSEGV"),
    "leaves": ("os._exit(0)", "crash: .*exit status 0"),
    "prints": ("print('x' * 10_000_000, flush=True)", "flavor: .*NoneType"),
    "floods": (TALKS + "while True: out.write(bytes(1 << 20))", "crash: .*no message"),
    "announces 2^62 bytes": (TALKS + "out.write((2**62).to_bytes(8, 'little')); out.flush()",
                             "crash: .*4,611,686,018,427,387,904 bytes"),
    "breaks off": (TALKS + "out.write(bytes([9] + [0] * 7) + b'9'); out.flush(); os._exit(3)",
                   "crash: .*no message"),
    "says something else": (TALKS + "say(wire.Failed('no'))", "crash: .*as it should: no"),
    "answers unasked": (TALKS + "say(wire.Answers({}))", "crash: .*Answers is no answer"),
    "refuses with a book": (TALKS + "say(wire.Refused('load', 'a\\n\\x1b[2J' * 10**6))",
                            r"^load: [a \[2J]{1000,2000}$"),
    "has samples of objects": (TALKS + "say(opened(samples={'a': ('|O8', (1,), bytes(8))}))",
                               "crash: .*no array"),
    "has samples of no text": (TALKS + "say(opened(samples={'a': ('<U1', (1,), b'\\xff' * 4)}))",
                                  "crash: .*its texts are none"),
    "has samples of 2^62": (TALKS + "say(opened(samples={'a': ('<f8', (2**62,), bytes(8))}))",
                            "crash: .*no array"),
    "has uneven samples": (TALKS + "uneven = {n: np.ones(len(n)) for n in ['a', 'bc']}\n"
                           "say(opened(samples=wire.packed(uneven)))",
                           "crash: .*columns of one length"),
    "has a row of 2^40 numbers": (
        TALKS + "GRAPH = trees\n"
        "say(opened(Schema((Column('a', 'float64', (2**40,)),)))); answer(doubled)",
        "(code|crash|memory): ",
    ),
    "answers less": (
        TALKS + "GRAPH = trees\nsay(opened()); answer(lambda rows: doubled(rows[1:]))",
        "code: .*answered otherwise.*it answers 1 rows with 0",
    ),
    "has no graph": (
        TALKS + "GRAPH = lambda: wire.Graph(b'junk', {}, 'exact')\nsay(opened()); answer(doubled)",
        "crash: .*graph is refused",
    ),
    "has a loop in its graph": (
        TALKS + "from onnx.helper import make_graph, make_node\n"
        "body = make_graph([], 'b', [], [])\n"
        "GRAPH = lambda: graph(make_node('Loop', ['rows'], ['answer'], body=body))\n"
        "say(opened()); answer(doubled)",
        "crash: .*operator .Loop",
    ),
    "has trees that lead back": (
        TALKS + "GRAPH = lambda: trees(nodes_truenodeids=[0, 0])\nsay(opened()); answer(doubled)",
        "crash: .*trees lead back",
    ),
    "has trees that lead outside": (
        TALKS + "GRAPH = lambda: trees(nodes_falsenodeids=[7, 1])\nsay(opened()); answer(doubled)",
        "crash: .*trees lead outside",
    ),
    "reads beyond the row": (
        TALKS + "GRAPH = lambda: trees(nodes_featureids=[0, 999])\nsay(opened()); answer(doubled)",
        "crash: .*trees lead outside",
    ),
    "has a graph that answers otherwise": (
        TALKS + "GRAPH = trees\nsay(opened()); answer(doubled)",
        "code: opened in quarantine, .*answered otherwise.*isolated",
    ),
}  # fmt: skip
