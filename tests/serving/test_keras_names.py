"""Names in Keras files: those on the list exist, and no other is called."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bentos.flavors.keras_file import open_keras
from bentos.flavors.keras_names import ACTIVATIONS, KINDS
from tests.keras_files import keras, reconfigure
from tests.serving.refusals import refused

LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}


def test_what_is_on_the_list_exists() -> None:
    named = [(module, name) for module, names in KINDS.items() for name in names]
    named += [("keras.activations", name) for name in ACTIVATIONS]
    assert not [(m, name) for m, name in named if not hasattr(import_module(m), name)]


def layer(found: dict[str, Any]) -> Any:
    return found["config"]["layers"][1]


def renamed(module: str | None, kind: str, **more: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: layer(found).update({"module": module, "class_name": kind} | more)


def activated(function: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: layer(found)["config"].update(activation=function)


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (renamed("keras.layers", "Lambda"), "keras.layers.Lambda"),
        (renamed("keras.layers", "TorchModuleWrapper"), "TorchModuleWrapper"),
        (renamed("keras.layers", "TFSMLayer"), "TFSMLayer"),
        (renamed("keras.layers", "StringLookup"), "StringLookup"),
        (renamed("keras.layers", "TextVectorization"), "TextVectorization"),
        (renamed("keras.src.layers.core.lambda_layer", "Lambda"), "lambda_layer.Lambda"),
        (renamed("os", "system"), "os.system"),
        (renamed("keras.utils", "get_file"), "keras.utils.get_file"),
        (renamed("__main__", "Mine", registered_name="mine>Mine"), "mine>Mine"),
        (renamed("keras.layers", "Dense", registered_name="mine>Dense"), "mine>Dense"),
        (renamed(None, "Dense"), "None.Dense"),
        (renamed("keras.src.ops.core", "Map"), "keras.src.ops.core.Map"),
        (activated(LAMBDA), "__lambda__"),
        (activated(function("keras.config", "enable_unsafe_deserialization")), "enable_unsafe"),
        (activated(function("os", "relu")), "os.relu"),
        (activated([function("subprocess", "run")]), "subprocess.run"),
    ],
)
def test_names_that_are_not_on_the_list(
    change: Callable[[dict[str, Any]], None], named: str, file: Path
) -> None:
    reconfigure(file, change)
    refused("pickle", f"{named}.*not on our", lambda: open_keras(file))


def test_names_come_with_their_place(file: Path) -> None:
    reconfigure(file, activated(function("os", "system")))
    refused(
        "pickle",
        r"Sequential\.config\.layers\[1\]\.config\.activation is os\.system",
        lambda: open_keras(file),
    )


def test_a_layer_of_ones_own(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("mine")
    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, rows: Any) -> Any:
            return rows * 2

    keras.Sequential([keras.Input((3,)), Doubled()]).save(tmp_path / "m.keras")
    refused("pickle", "mine>Doubled", lambda: open_keras(tmp_path / "m.keras"))
