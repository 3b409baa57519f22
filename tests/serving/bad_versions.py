"""Ways to make versions that may not serve, and what is said of each."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mlflow.types.schema import ColSpec

import mlflow
from bentos.refusal import Reason
from bentos.registry.client import Version
from tests.serving import versions
from tests.serving.bad_models import (
    X,
    Y,
    answers,
    heavy,
    signature,
    slow,
    trained_on,
    tree_that_points_outside,
    two_answers,
    untrusted,
)
from tests.serving.versions import INPUTS, SIGNATURE, Bench, line, signed
from training import tracking
from training.manifest import write_manifest


@dataclass(frozen=True)
class Bad:
    """A way to make a bad version, and what is said of it."""

    reason: Reason
    message: str
    make: Callable[[Bench], Version]
    admission: dict[str, Any] = field(default_factory=dict)


def as_usual(bench: Bench, model: object, **options: Any) -> Version:
    """Log and register a model the way that MLflow's tutorials do."""
    with tracking.run(versions.EXPERIMENT), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"pip_requirements": ["scikit-learn"], "input_example": INPUTS} | options
        name = bench.shelf.name
        made = mlflow.sklearn.log_model(model, name="model", registered_model_name=name, **options)
    return bench.shelf.version(made.registered_model_version)


def pickled_as_usual(bench: Bench) -> Version:
    return as_usual(bench, line(1.0), serialization_format="cloudpickle")


def pickled_and_signed(bench: Bench) -> Version:
    return bench.publish(signed(line(1.0), bench.folder, serialization_format="cloudpickle"))


def pickle_that_calls_itself_skops(bench: Bench) -> Version:
    folder = signed(line(1.0), bench.folder, serialization_format="cloudpickle")
    mlmodel = (folder / "MLmodel").read_text()
    (folder / "model.pkl").rename(folder / "model.skops")
    mlmodel = mlmodel.replace("model.pkl", "model.skops").replace("cloudpickle", "skops")
    (folder / "MLmodel").write_text(mlmodel)
    versions.resign(folder)
    return bench.publish(folder)


def unsigned(bench: Bench) -> Version:
    return as_usual(bench, line(1.0), serialization_format="skops", signature=SIGNATURE)


def no_digest_tag(bench: Bench) -> Version:
    return bench.shelf.publish(signed(line(1.0), bench.folder))


def no_samples(bench: Bench) -> Version:
    folder = signed(line(1.0), bench.folder)
    (folder / "ascenso" / "samples.json").unlink()
    versions.resign(folder)
    return bench.publish(folder)


def no_signature(bench: Bench) -> Version:
    return bench.publish(signed(line(1.0), bench.folder, signature=None))


def changed_byte(bench: Bench) -> Version:
    version = bench.shelf.add()
    content = bytearray(bench.store.get(bench.shelf.key(version, "model.skops")))
    content[len(content) // 2] ^= 1
    return bench.replace(version, "model.skops", bytes(content))


def file_gone(bench: Bench) -> Version:
    version = bench.shelf.add()
    bench.store.delete(bench.shelf.key(version, "model.skops"))
    return version


def file_more(bench: Bench) -> Version:
    return bench.replace(bench.shelf.add(), "notes.txt", b"nobody signed this")


def manifest_made_to_fit(bench: Bench) -> Version:
    version = bench.shelf.add()
    folder = signed(line(9.0), bench.folder)
    for path in folder.rglob("*"):
        if path.is_file():
            bench.replace(version, path.relative_to(folder).as_posix(), path.read_bytes())
    return version


def manifest_garbage(bench: Bench) -> Version:
    return bench.replace(bench.shelf.add(), "ascenso/manifest.json", b"{")


def nothing_there(bench: Bench) -> Version:
    version = bench.shelf.add()
    for name in bench.shelf.files(version):
        bench.store.delete(bench.shelf.key(version, name))
    return version


def library(name: str, wanted: str) -> Callable[[Bench], Version]:
    def make(bench: Bench) -> Version:
        folder = signed(line(1.0), bench.folder)
        versions.resign(folder, lambda manifest: manifest["libraries"].update({name: wanted}))
        return bench.publish(folder)

    return make


def torn_file(bench: Bench) -> Version:
    folder = signed(line(1.0), bench.folder)
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:100])
    versions.resign(folder)
    return bench.publish(folder)


def code_folder(bench: Bench) -> Version:
    code = bench.folder.with_name("helpers")
    code.mkdir()
    (code / "helper.py").write_text("raise SystemExit('this must never be imported')")
    return bench.publish(signed(line(1.0), bench.folder, code_paths=[str(code)]))


def model_from_code(bench: Bench) -> Version:
    script = bench.folder.with_name("script.py")
    script.write_text(
        "import mlflow\n"
        "class Model(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input: list[str]):\n"
        "        return model_input\n"
        "mlflow.models.set_model(Model())\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(
            bench.folder, python_model=str(script), pip_requirements=["mlflow"]
        )
    write_manifest(bench.folder, versions.samples(line(1.0)), versions.LIBRARIES)
    return bench.publish(bench.folder)


def other_flavor(bench: Bench) -> Version:
    folder = signed(line(1.0), bench.folder)
    (folder / "MLmodel").write_text("flavors: {prophet: {}, python_function: {}}")
    versions.resign(folder)
    return bench.publish(folder)


BAD = {
    "pickled as usual": Bad("pickle", "'cloudpickle'.*format='skops'", pickled_as_usual),
    "pickled and signed": Bad("pickle", "'cloudpickle'", pickled_and_signed),
    "pickle called skops": Bad(
        "pickle", r"model\.skops is a pickle", pickle_that_calls_itself_skops
    ),
    "untrusted type": Bad("pickle", r"_operator\.neg.*does not count", untrusted),
    "code folder": Bad("code", "admission.allow_code", code_folder),
    "model from code": Bad("code", "model_code_path", model_from_code),
    "other flavor": Bad("flavor", "'prophet'", other_flavor),
    "nothing there": Bad("flavor", "no MLmodel file", nothing_there),
    "unsigned": Bad("unsigned", "training.tracking.register", unsigned),
    "no digest tag": Bad("unsigned", r"tag ascenso\.digest", no_digest_tag),
    "no samples": Bad("unsigned", "no sample inputs", no_samples),
    "no signature": Bad("unsigned", "no signature", no_signature),
    "changed byte": Bad("digest", r"model\.skops is not the file", changed_byte),
    "file gone": Bad("digest", r"missing from, .*'model\.skops'", file_gone),
    "file more": Bad("digest", r"foreign to, .*'notes\.txt'", file_more),
    "manifest made to fit": Bad("digest", "training registered sha256:", manifest_made_to_fit),
    "manifest garbage": Bad("digest", "cannot be read", manifest_garbage),
    "older library": Bad(
        "library", r"scikit-learn 0\.24\.2, but .*'minor'", library("scikit-learn", "0.24.2")
    ),
    "other python": Bad("library", r"python 3\.9\.1", library("python", "3.9.1")),
    "no such library": Bad("library", "none runs here", library("left-pad", "1.0.0")),
    "other patch of a library": Bad(
        "library",
        "'exact'",
        library("skops", "0.16.99"),
        {"libraries": {"default": "any", "skops": "exact"}},
    ),
    "other column": Bad("signature", "'presion'", signature([ColSpec("double", "presion")], Y)),
    "other type": Bad("signature", "'x': 'string'", signature([ColSpec("string", "x")], Y)),
    "one more column": Bad("signature", "'z'", signature([X, ColSpec("double", "z")], Y)),
    "other output": Bad("signature", "outputs are.*'long'", signature([X], ColSpec("long", "y"))),
    "other answers": Bad("samples", "8 of 8 values differ", answers(line(1.5), as_if=line(1.0))),
    "other shape": Bad("samples", r"\(8, 2\), not \(8,\)", answers(two_answers(), line(1.0))),
    "other width": Bad("samples", "2 features", answers(trained_on(2), as_if=line(1.0))),
    "slow": Bad("latency", r"budget is 1 ms \(admission\.latency_ms\)", slow, {"latency_ms": 1}),
    "torn file": Bad("load", "BadZipFile", torn_file),
    "tree outside itself": Bad("load", "points outside itself", tree_that_points_outside),
    "heavy": Bad("memory", "budget is 32 MB", heavy, {"memory_mb": 32}),
}
