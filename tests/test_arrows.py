"""Who may import whom: arrows run downward only, and there are no circles."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from deploy.local.settings import ROOT

BASE = "files loop made_secrets memory notices outward process refusal settings tracing version"
# What a room may import, beside the base. A service asks whatever is below it.
BELOW = {
    "stack": "services bento web",
    "cli": "relay scoring services promotion admission recording sandbox serving web flavors"
    " registry tensors",
    "relay": "promotion registry",
    "scoring": "services promotion admission protocols serving flavors registry tensors",
    "services": "bento web promotion admission protocols sandbox serving tensors registry"
    " database",
    "bento": "web promotion recording serving",
    "web": "promotion protocols serving tensors registry database",
    "promotion": "admission drift recording serving flavors registry database",
    "admission": "protocols drift recording serving flavors sandbox registry tensors",
    "drift": "serving tensors",
    "recording": "serving registry tensors",
    "protocols": "tensors",
    "serving": "tensors",
    "flavors": "tensors",
    "sandbox": "",
    "registry": "",
    "tensors": "",
    "database": "",
}
SERVICES = {"contugas", "cripto", "itransformer", "keras_api", "models", "spotify"}
BENTOML = {"bentoml", "_bentoml_sdk", "_bentoml_impl"}
# What `serving` must not know: HTTP, disks, databases.
OUTSIDE = {"boto3", "filelock", "httpx", "pathlib", "shutil", "sqlite3", "starlette", "tempfile"}
# Of training, beside the families: what reads a model that one of them made.
SHARED = {"training.errors", "training.pooling", "training.settings"}
# What registers what somebody brought, apart from the services, and trains nothing.
REGISTERS = ("bentos.itransformer.install", "bentos.cli.importing.")


def modules(package: str) -> dict[str, Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


BENTOS, TRAINING = modules("bentos"), modules("training")


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in BENTOS or inner in TRAINING else node.module


GRAPH = {name: set(imports(path)) for name, path in (BENTOS | TRAINING).items()}


def room(module: str) -> str:
    name = module.split(".")[1] if "." in module else ""
    return "services" if name in SERVICES else name


def crossings() -> Iterator[tuple[str, str]]:
    """Imports from one room of bentos into another."""
    for name in BENTOS:
        for other in GRAPH[name] & BENTOS.keys():
            if room(other) and room(other) != room(name):
                yield name, other


def test_arrows_run_downward_only() -> None:
    TopologicalSorter({one: set(others.split()) for one, others in BELOW.items()}).prepare()
    allowed = {one: {*others.split(), *BASE.split()} for one, others in BELOW.items()}
    allowed |= {one: set(BASE.split()) for one in BASE.split()}
    assert [
        f"{name} imports {other}"
        for name, other in crossings()
        if room(other) not in allowed[room(name)]
    ] == []


def test_the_map_shows_every_room_and_no_other() -> None:
    table = (ROOT / "docs" / "code.md").read_text().partition("## The rooms of bentos")[2]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    shown = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    rooms = {name.split(".")[1] for name in BENTOS if "." in name}
    assert shown == rooms
    assert {*BELOW, *BASE.split()} - {"services"} <= rooms


@pytest.mark.parametrize("package", ["bentos", "training"])
def test_no_module_imports_itself_in_a_circle(package: str) -> None:
    inside = BENTOS if package == "bentos" else TRAINING
    graph = {name: (GRAPH[name] & inside.keys()) - {name} for name in inside}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_training_knows_nothing_of_services() -> None:
    assert [n for n in TRAINING if any(o.startswith("bentos") for o in GRAPH[n])] == []


def test_of_training_only_what_makes_up_a_model_is_imported() -> None:
    foreign = {
        (name, other)
        for name in BENTOS
        for other in GRAPH[name] & TRAINING.keys()
        if other.count(".") == 1 and other not in SHARED and TRAINING[other].name != "__init__.py"
    }
    assert [(name, other) for name, other in foreign if not f"{name}.".startswith(REGISTERS)] == []


def test_bentoml_is_imported_where_services_are_bound_to_it() -> None:
    users = {room(n) for n in BENTOS if any(o.split(".")[0] in BENTOML for o in GRAPH[n])}
    assert users <= {"bento", "services", "stack"}


def test_serving_knows_no_disk_and_no_http() -> None:
    used = {o.split(".")[0] for n in BENTOS if room(n) == "serving" for o in GRAPH[n]}
    assert used & OUTSIDE == set()


def test_what_unpickles_is_reached_from_the_other_process_alone() -> None:
    """It runs what a version brings, so nothing but the program of a quarantine imports it."""
    running, teller = "bentos.flavors.elsewhere.running", "bentos.flavors.elsewhere.teller"

    def users(module: str) -> set[str]:
        held = {name: list(imports(path)) for name, path in BENTOS.items()}
        return {name for name in held if any(one.startswith(module) for one in held[name])}

    assert users(running) == {teller}
    assert users(teller) == set()  # it is started, by its name in `start`
