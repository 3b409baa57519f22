"""skops files: opened by skops, where they name only what is reviewed, and looked at afterwards.

skops calls what a file names, trusts names of its own, and looks at no state. So each node of a
file is looked at before: who opens it, and what it names.
"""

import io
import json
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

from bentos.flavors.reading.checks import check
from bentos.flavors.reading.checks.walk import BOOSTERS, COMPILED, VALUES
from bentos.flavors.reading.errors import Damaged, Unreadable, Unreviewed
from bentos.flavors.reading.limits import LIMITS, Limits
from bentos.flavors.reading.names import HELD, exact, expect
from bentos.flavors.reading.old_names import current
from bentos.flavors.reading.parts import LOSSES
from bentos.flavors.reading.reader import Read
from bentos.process import skops_io, without_warnings

Nodes: TypeAlias = Mapping[str, Set[str]]
SCHEMA = 256 << 20  # bytes of JSON
KEYS = {"builtins.str", "builtins.int", "builtins.float", "builtins.bool", "builtins.NoneType"}
KEYS |= {f"numpy.{name}" for name in ("int64", "int32", "float64", "str_", "bool")}
NUMBERS = frozenset(name for name in VALUES if name.startswith("numpy.")) - {"numpy.void"}
TRIPLET = "sklearn.impute._iterative._ImputerTriplet"
# What each kind of node may name. Others (of methods, operators, other libraries) are no data.
NODES: dict[str, Set[str]] = {
    "BytearrayNode": {"builtins.bytearray"},
    "BytesNode": {"builtins.bytes"},
    "CachedNode": HELD | COMPILED | VALUES,
    "ConstructorFromReduceNode": exact(LOSSES),
    "DTypeNode": {"numpy.dtype"},
    "DefaultDictNode": {"collections.defaultdict"},
    "DictNode": {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"},
    "FunctionNode": VALUES,
    "JsonNode": {"builtins.str"},
    "ListNode": {"builtins.list"},
    "LossNode": exact(LOSSES),
    "MaskedArrayNode": {"numpy.ma.MaskedArray"},
    "NdArrayNode": NUMBERS,
    "ObjectNode": HELD | COMPILED,
    "PartialNode": {"functools.partial"},
    "RandomGeneratorNode": {"numpy.random._generator.Generator"},
    "RandomStateNode": {"numpy.random.mtrand.RandomState"},
    "SetNode": {"builtins.set"},
    "SliceNode": {"builtins.slice"},
    "SparseMatrixNode": frozenset(name for name in HELD if name.startswith("scipy.sparse.")),
    "TreeNode": {"sklearn.tree._tree.Tree"},
    "TupleNode": {"builtins.tuple", TRIPLET},
    "TypeNode": VALUES | KEYS | exact(LOSSES),
}
# Boosters' own states are not looked at here: for files that were written of checked ones.
OF_BOOSTERS = NODES | {
    "ObjectNode": NODES["ObjectNode"] | BOOSTERS,
    "TypeNode": NODES["TypeNode"] | {"collections.OrderedDict"},
}


def read_skops(path: Path, limits: Limits = LIMITS, boosters: bool = False) -> Read:
    """Build the model in a file of skops. Raises as `read_pickle` does.

    `boosters` may be in a file that this project wrote, of boosters that were checked.
    """
    try:
        content = Path(path).read_bytes()
        with ZipFile(io.BytesIO(content)) as archive:
            _check_sizes(archive, limits)
            nodes = OF_BOOSTERS if boosters else NODES
            names = frozenset(_names(json.loads(archive.read("schema.json")), limits, nodes))
        with without_warnings():  # of another release, which is said elsewhere
            model = skops_io().load(io.BytesIO(content), trusted=sorted(names))
    except Unreadable:
        raise
    except Exception as error:
        raise Damaged(f"this is no whole skops file: {type(error).__name__}: {error}") from error
    check(model, limits)
    return Read(model, frozenset(map(_current, names)))


def _check_sizes(archive: ZipFile, limits: Limits) -> None:
    """Unpacked, it is small enough; so are the arrays that are packed a second time."""
    entries = archive.infolist()
    expect(len({one.filename for one in entries}) == len(entries), "the file has a name twice")
    total = 0
    for entry in entries:
        total += entry.file_size
        expect(total <= limits.bytes, f"the file unpacks to more than {limits.bytes:,} bytes")
        if entry.filename.endswith(".npz"):
            with ZipFile(io.BytesIO(archive.read(entry))) as inner:
                total += sum(one.file_size for one in inner.infolist())
        expect(total <= limits.bytes, f"the file unpacks to more than {limits.bytes:,} bytes")
    expect(archive.getinfo("schema.json").file_size <= SCHEMA, "the schema is too large")


def _names(schema: Any, limits: Limits, nodes: Nodes) -> Iterator[str]:
    """Every name in a schema, as it stands there. Raises Unreviewed for one that is not ours."""
    waiting, steps = [schema], 0
    while waiting:
        node, steps = waiting.pop(), steps + 1
        expect(steps <= limits.objects, f"the file has more than {limits.objects:,} parts")
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += node.values()
            if "__loader__" in node:
                yield _name(node, nodes)


def _name(node: dict[str, Any], nodes: Nodes) -> str:
    loader, module, kind = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    expect(all(type(one) is str for one in (loader, module, kind)), "a node of the file is none")
    full = f"{module}.{kind}"
    if loader not in nodes:
        raise Unreadable(f"the file opens {full} by {loader}, which is no data")
    if "." in str(kind) or _current(full) not in nodes[str(loader)]:
        raise Unreviewed(full)
    if loader == "DictNode":
        keys = node["key_types"]["content"]
        expect(
            all(f"{one['__module__']}.{one['__class__']}" in KEYS for one in keys),
            "a dict of the file has keys that are no plain values",
        )
    return full


def _current(full: str) -> str:
    module, _, name = full.rpartition(".")
    return f"{current(module)}.{name}"
