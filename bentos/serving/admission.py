"""The checks before a version may serve. They end in a release, or in a refusal with a reason."""

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version
from threading import Thread
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import psutil
from numpy.typing import NDArray

from bentos.serving.compiling import compile_model
from bentos.serving.loading import Loaded, Predictor, load
from bentos.serving.manifest import (
    MANIFEST,
    Manifest,
    Samples,
    read_manifest,
    read_samples,
    sha256,
)
from bentos.serving.mlmodel import MLmodel
from bentos.serving.refusal import Refusal
from bentos.serving.registry import DIGEST_TAG, Version
from bentos.serving.release import Contract, Release
from bentos.settings import AdmissionSettings

T = TypeVar("T")
WARM_UP_CALLS = 5
MEGABYTE = 1024 * 1024


def admit(
    version: Version, folder: Path, contract: Contract, settings: AdmissionSettings
) -> Release:
    """Judge a fetched version. Raises Refusal, which names the check that failed."""
    started = time.perf_counter()
    mlmodel = MLmodel(folder)
    if version.name not in settings.allow_code:
        mlmodel.refuse_code()
    mlmodel.refuse_pickles()
    warnings: list[str] = []
    manifest = _signed(lambda: check_digests(version, folder), settings, warnings)
    if manifest:
        check_libraries(manifest.libraries, settings.libraries)
    _signed(lambda: check_signature(mlmodel, contract), settings, warnings)
    samples = _signed(lambda: _read_samples(folder), settings, warnings)
    with_budget = _Memory(settings.memory_mb)
    loaded = load(mlmodel)
    predict, runs, row_seconds = _within(
        settings.deadline_seconds, lambda: _prove(loaded, samples, contract, settings)
    )
    with_budget.check()
    took = time.perf_counter() - started
    return Release(version, predict, runs, row_seconds, took, tuple(warnings))


def check_digests(version: Version, folder: Path) -> Manifest:
    """Every file is the one that training stored."""
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        raise Refusal(
            "unsigned",
            f"the version has no {MANIFEST}: register it with training.tracking.register",
        ) from None
    except msgspec.DecodeError as error:
        raise Refusal("digest", f"{MANIFEST} cannot be read: {error}") from error
    if not version.digest:
        raise Refusal(
            "unsigned",
            f"the version has no tag {DIGEST_TAG}: register it with training.tracking.register",
        )
    found = f"sha256:{sha256(folder / MANIFEST)}"
    if found != version.digest:
        raise Refusal("digest", f"{MANIFEST} is {found}, but training registered {version.digest}")
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {MANIFEST}
    if odd := sorted(files ^ manifest.files.keys()):
        raise Refusal("digest", f"files missing from, or foreign to, the manifest: {odd[:5]}")
    changed = [name for name, want in manifest.files.items() if sha256(folder / name) != want]
    if changed:
        raise Refusal(
            "digest",
            f"{changed[0]} is not the file that training stored: its SHA-256 "
            "differs; train again, or restore the file in the store",
        )
    return manifest


def check_libraries(
    trained: dict[str, str], rules: dict[str, Literal["exact", "minor", "any"]]
) -> None:
    """The libraries of the training are near enough to those that run here."""
    for library, then in trained.items():
        rule = rules.get(library, rules.get("default", "minor"))
        now = _running(library)
        parts = {"exact": None, "minor": 2, "any": 0}[rule]
        if then.split(".")[:parts] != now.split(".")[:parts]:
            raise Refusal(
                "library",
                f"trained with {library} {then}, but {now or 'none'} runs here, and the rule for "
                f"it is {rule!r} (admission.libraries): train again with what runs here",
            )


def check_signature(mlmodel: MLmodel, contract: Contract) -> None:
    """The version accepts what this service sends, and gives what it answers."""
    for side, wanted in (("inputs", contract.inputs), ("outputs", contract.outputs)):
        columns = mlmodel.columns(side)
        if columns is None:
            raise Refusal(
                "unsigned",
                f"the version has no signature for its {side}: log it with "
                "signature=infer_signature(inputs, outputs)",
            )
        found = {str(column.get("name")): str(column.get("type")) for column in columns}
        if list(found.items()) != list(wanted.items()):
            raise Refusal(
                "signature",
                f"the version's {side} are {found}, but this service needs {dict(wanted)}",
            )


def check_samples(predict: Predictor, samples: Samples) -> None:
    """The version answers its samples as it did at training, within their tolerance."""
    expected = samples.expected()
    found = np.asarray(predict(samples.batch()))
    if found.shape != expected.shape:
        raise Refusal(
            "samples",
            f"the samples' answers have the shape {found.shape}, not "
            f"{expected.shape} as at training",
        )
    wrong = ~_close(found, expected, samples)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise Refusal(
            "samples",
            f"{int(wrong.sum())} of {wrong.size} values differ from those of "
            f"the training; the first is row {row}: {found[row].tolist()} instead of "
            f"{expected[row].tolist()}",
        )


def _close(found: NDArray[Any], expected: NDArray[Any], samples: Samples) -> NDArray[np.bool_]:
    if expected.dtype == object:
        return np.asarray(found == expected)
    close: NDArray[np.bool_] = np.isclose(
        found.astype(np.float64), expected, rtol=samples.rtol, atol=samples.atol, equal_nan=True
    )
    return close


def _prove(
    loaded: Loaded, samples: Samples | None, contract: Contract, settings: AdmissionSettings
) -> tuple[Predictor, Literal["native", "onnx"], float]:
    """Samples, compiling and warm-up: everything that calls the model."""
    predict, runs = loaded.predict, "native"
    if samples:
        check_samples(predict, samples)
        compiled = compile_model(loaded.model, samples) if settings.compile else None
        if compiled:
            predict, runs = compiled, "onnx"
    batch = samples.batch() if samples else np.zeros((1, len(contract.inputs)))
    seconds = _warm_up(predict, batch)
    if seconds * 1000 > settings.latency_ms:
        raise Refusal(
            "latency",
            f"one row takes {seconds * 1000:.0f} ms; the budget is "
            f"{settings.latency_ms:.0f} ms (admission.latency_ms)",
        )
    return predict, "onnx" if runs == "onnx" else "native", seconds


def _warm_up(predict: Predictor, batch: NDArray[Any]) -> float:
    """Seconds for one row, the best of a few calls; a whole batch runs once as well."""
    try:
        predict(batch)
        return min(_timed(predict, batch[:1]) for _ in range(WARM_UP_CALLS))
    except Exception as error:
        raise Refusal("load", f"{type(error).__name__} while warming up: {error}") from error


def _timed(predict: Predictor, batch: NDArray[Any]) -> float:
    started = time.perf_counter()
    predict(batch)
    return time.perf_counter() - started


class _Memory:
    """How much the process may grow while a version loads."""

    def __init__(self, budget_mb: int) -> None:
        self.budget_mb = budget_mb
        self.process = psutil.Process()
        self.before = self.process.memory_info().rss

    def check(self) -> None:
        grown = (self.process.memory_info().rss - self.before) // MEGABYTE
        if grown > self.budget_mb:
            raise Refusal(
                "memory",
                f"the version took {grown} MB; the budget is {self.budget_mb} "
                "MB (admission.memory_mb)",
            )


def _read_samples(folder: Path) -> Samples:
    try:
        return read_samples(folder)
    except FileNotFoundError:
        raise Refusal(
            "unsigned",
            "the version has no sample inputs with their outputs: register "
            "it with training.tracking.register",
        ) from None
    except msgspec.DecodeError as error:
        raise Refusal("samples", f"the samples cannot be read: {error}") from error


def _signed(check: Callable[[], T], settings: AdmissionSettings, warnings: list[str]) -> T | None:
    """A check of what training should have stored: its absence may be no more than a warning."""
    try:
        return check()
    except Refusal as refusal:
        if refusal.reason != "unsigned" or settings.unsigned == "refuse":
            raise
        warnings.append(refusal.message)
        return None


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread that is given up when it hangs."""
    outcome: list[T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = Thread(target=run, name="warm-up", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Refusal(
            "latency", f"the warm-up took more than {seconds:.0f} s (admission.deadline_seconds)"
        )
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _running(library: str) -> str:
    if library == "python":
        return python_version()
    try:
        return installed(library)
    except PackageNotFoundError:
        return ""
