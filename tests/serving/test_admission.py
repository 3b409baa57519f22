"""Every refusal, each by a real bad version in the real registry while the one before serves."""

import operator
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import mlflow
from bentos.serving import compiling
from bentos.serving.admission import admit, check_libraries
from bentos.serving.refusal import Reason, Refusal
from bentos.serving.registry import Version
from bentos.serving.release import Contract
from bentos.settings import AdmissionSettings
from tests.serving import versions
from tests.serving.servers import Server, Store
from tests.serving.service import Service, serving
from tests.serving.skops_file import tampered
from tests.serving.versions import CONTRACT, INPUTS, SIGNATURE, Shelf, line, signed
from training import tracking
from training.manifest import write_manifest


@dataclass
class Bench:
    """What it takes to make a bad version."""

    shelf: Shelf
    store: Store
    folder: Path

    def publish(self, folder: Path) -> Version:
        return self.shelf.publish(folder, versions.digest(folder))

    def replace(self, version: Version, name: str, content: bytes) -> Version:
        """Change a file in the store, behind MLflow's back."""
        self.store.put(self.shelf.key(version, name), content)
        return version


@pytest.fixture
def bench(shelf: Shelf, store: Store, tmp_path: Path) -> Bench:
    return Bench(shelf, store, tmp_path / "model")


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


def signature(inputs: list[ColSpec], output: ColSpec) -> Callable[[Bench], Version]:
    def make(bench: Bench) -> Version:
        given = ModelSignature(Schema([*inputs]), Schema([output]))
        return bench.publish(signed(line(1.0), bench.folder, signature=given))

    return make


TREE = ["sklearn.tree._tree.Tree"]
X, Y = ColSpec("double", "x"), ColSpec("double", "y")


def answers(model: Any, as_if: Any) -> Callable[[Bench], Version]:
    """A model stored with the samples of another one."""

    def make(bench: Bench) -> Version:
        versions.save(model, bench.folder)
        write_manifest(bench.folder, versions.samples(as_if), versions.LIBRARIES)
        return bench.publish(bench.folder)

    return make


def trained_on(columns: int) -> LinearRegression:
    X = np.arange(8.0 * columns).reshape(8, columns)
    return LinearRegression().fit(X, X[:, 0])


def two_answers() -> LinearRegression:
    X = INPUTS.to_numpy()
    return LinearRegression().fit(X, np.concatenate([X, X], axis=1))


def forest(trees: int) -> RandomForestRegressor:
    return RandomForestRegressor(trees, random_state=0).fit(INPUTS.to_numpy(), INPUTS["x"])


def slow(bench: Bench) -> Version:
    return bench.publish(signed(forest(300), bench.folder, skops_trusted_types=TREE))


def untrusted(bench: Bench) -> Version:
    """The file names a function of a foreign module, and MLmodel lists it as trusted."""
    model = make_pipeline(FunctionTransformer(operator.neg), LinearRegression())
    model.fit(INPUTS.to_numpy(), INPUTS["x"])
    folder = signed(model, bench.folder, skops_trusted_types=["_operator.neg"])
    assert "_operator.neg" in (folder / "MLmodel").read_text()
    return bench.publish(folder)


def tree_that_points_outside(bench: Bench) -> Version:
    folder = signed(forest(2), bench.folder, skops_trusted_types=TREE)
    tampered(folder / "model.skops", "left_child", 10**9)
    versions.resign(folder)
    return bench.publish(folder)


def torn_file(bench: Bench) -> Version:
    folder = signed(line(1.0), bench.folder)
    path = folder / "model.skops"
    path.write_bytes(path.read_bytes()[:100])
    versions.resign(folder)
    return bench.publish(folder)


def heavy(bench: Bench) -> Version:
    model = line(1.0)
    model.ballast_ = np.zeros(8_000_000)  # 64 MB
    return bench.publish(signed(model, bench.folder))


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
    "hanging": Bad("latency", "deadline_seconds", slow, {"deadline_seconds": 0.001}),
    "torn file": Bad("load", "BadZipFile", torn_file),
    "tree outside itself": Bad("load", "points outside itself", tree_that_points_outside),
    "heavy": Bad("memory", "budget is 32 MB", heavy, {"memory_mb": 32}),
}


@pytest.fixture
def follow(shelf: Shelf, server: Server, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """A service that already serves a good version, number 1."""
    shelf.promote(shelf.add(slope=10.0))
    open_services = []

    def started(**admission: Any) -> Service:
        context = serving(shelf.name, tmp_path / "home", server.url)
        open_services.append(context)
        service = context.__enter__()
        service.look()
        assert service.ask() == (20.0, "1")
        if admission:
            given = service.settings.admission.model_copy(update=admission)
            changed = service.settings.model_copy(update={"admission": given})
            for follower in service.watcher.followers:
                follower._settings = changed
        return service

    yield started
    for context in open_services:
        context.__exit__(None, None, None)


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_refusal(bad: Bad, bench: Bench, follow: Callable[..., Service]) -> None:
    service = follow(**bad.admission)
    with service.asked() as heard:
        version = bad.make(bench)
        bench.shelf.promote(version)
        service.look()
    assert set(heard) == {(20.0, "1")}
    refused = service.slot.report()["refused"]
    assert (refused.version, refused.reason) == (version.version, bad.reason)
    tags = bench.shelf.version(version.version)
    assert tags.tag("serving.state") == "refused"
    assert tags.tag("serving.reason") == f"{bad.reason}: {refused.message}"
    assert tags.tag("serving.replicas") == "0"
    assert bench.shelf.version(1).tag("serving.state") == "live"
    with pytest.raises(Refusal, match=f"(?s){bad.message}"):
        raise Refusal(bad.reason, refused.message)
    assert service.history()[-1] == ("refusal", version.version)


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (unsigned, ["no ascenso/manifest.json", "sample inputs"]),
        (no_digest_tag, ["tag ascenso.digest"]),
        (no_samples, ["sample inputs"]),
        (no_signature, ["no signature"]),
    ],
)
def test_unsigned_versions_serve_with_a_warning_where_that_is_configured(
    make: Callable[[Bench], Version],
    missing: list[str],
    bench: Bench,
    follow: Callable[..., Service],
) -> None:
    service = follow(unsigned="warn")
    bench.shelf.promote(make(bench))
    service.look()
    assert service.ask() == (2.0, "2")
    told = service.slot.report()["live"]["warnings"]
    assert all(any(part in warning for warning in told) for part in missing)
    reason = bench.shelf.version(2).tag("serving.reason")
    assert all(part in reason for part in missing)


def test_warnings_are_for_what_is_missing_only(
    bench: Bench, follow: Callable[..., Service]
) -> None:
    service = follow(unsigned="warn")
    for make in (changed_byte, pickled_as_usual, answers(line(1.5), as_if=line(1.0))):
        shutil.rmtree(bench.folder, ignore_errors=True)
        bench.shelf.promote(make(bench))
        service.look()
        assert service.ask() == (20.0, "1")


def test_code_of_a_listed_model(bench: Bench, follow: Callable[..., Service]) -> None:
    service = follow(allow_code=[bench.shelf.name])
    bench.shelf.promote(code_folder(bench))
    service.look()
    assert service.ask() == (2.0, "2")  # the flavor's loader needs none of it, and imports none


@pytest.mark.parametrize("rule", ["any", "minor", "exact"])
def test_library_rules(rule: str) -> None:
    def near(trained: str) -> bool:
        from sklearn import __version__

        parts = [__version__.split(".")[:keep] for keep in (1, 2, 3)]
        then = {
            "major": f"{parts[0][0]}.999.0",
            "minor": f"{'.'.join(parts[1])}.999",
            "same": __version__,
            "older": "0.1.0",
        }[trained]
        try:
            check_libraries({"scikit-learn": then}, {"scikit-learn": rule})  # type: ignore[dict-item]
        except Refusal:
            return False
        return True

    near_enough = {name for name in ("older", "major", "minor", "same") if near(name)}
    assert (
        near_enough
        == {
            "any": {"older", "major", "minor", "same"},
            "minor": {"minor", "same"},
            "exact": {"same"},
        }[rule]
    )


def admitted(folder: Path, contract: Contract = CONTRACT, **admission: Any) -> Any:
    version = Version("local", "1", tags=(versions.digest_tag(folder),))
    compiled = folder.with_name("compiled.onnx")
    return admit(version, folder, contract, AdmissionSettings(**admission), compiled)


def test_a_good_version_is_admitted(tmp_path: Path) -> None:
    release = admitted(signed(line(3.0), tmp_path / "model"))
    np.testing.assert_allclose(release.predict(np.array([[2.0]])), [6.0])
    assert release.runs == "onnx"
    assert 0 < release.row_seconds < 1
    assert release.warnings == ()
    again = admitted(signed(line(3.0), tmp_path / "again"), compile=False)
    assert again.runs == "native"


def test_a_model_that_fails_beyond_its_samples_stays_native(tmp_path: Path) -> None:
    """Rows near the samples, as compiling tries them, are categories that it never saw."""
    model = make_pipeline(OneHotEncoder(), LinearRegression())
    model.fit(INPUTS.to_numpy(), INPUTS["x"])
    release = admitted(signed(model, tmp_path / "model"))
    assert release.runs == "native"


def test_a_compiled_form_of_another_model_is_not_used(tmp_path: Path) -> None:
    admitted(signed(line(3.0), tmp_path / "model"))
    kept = (tmp_path / "compiled.onnx").read_bytes()
    release = admitted(signed(line(4.0), tmp_path / "other"))
    np.testing.assert_allclose(release.predict(np.array([[2.0]])), [8.0], rtol=1e-5)
    (tmp_path / "compiled.onnx").write_bytes(kept[:50])
    release = admitted(signed(line(4.0), tmp_path / "third"))
    np.testing.assert_allclose(release.predict(np.array([[2.0]])), [8.0], rtol=1e-5)
    assert compiling.open_compiled(tmp_path / "compiled.onnx")
