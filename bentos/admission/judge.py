"""The checks before a version may serve. They end in a release, or in a refusal with a reason."""

import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version
from typing import Literal, TypeVar

import msgspec
import numpy as np

from bentos.admission.budgets import MemoryBudget, warm_up, within
from bentos.admission.compiling import Made, compile_rows, open_compiled
from bentos.admission.manifest import (
    MANIFEST,
    Manifest,
    Samples,
    read_manifest,
    read_samples,
    sha256,
)
from bentos.flavors.loading import Predictor, load
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal
from bentos.registry.client import DIGEST_TAG, Version
from bentos.serving.release import Contract, Release, Runs
from bentos.settings import AdmissionSettings

T = TypeVar("T")


def admit(
    version: Version,
    folder: Path,
    contract: Contract,
    settings: AdmissionSettings,
    compiled: Path,
) -> Release:
    """Judge a version fetched to `folder`; its compiled form is kept at `compiled`.

    Raises Refusal, which names the check that failed.
    """
    started = time.perf_counter()
    mlmodel = MLmodel(folder)
    if version.name not in settings.allow_code:
        mlmodel.refuse_code()
    mlmodel.refuse_pickles()
    mlmodel.refuse_unknown()
    warnings: list[str] = []
    manifest = _signed(lambda: check_digests(version, folder), settings, warnings)
    if manifest:
        check_libraries(manifest.libraries, settings.libraries)
    _signed(lambda: check_signature(mlmodel, contract), settings, warnings)
    samples = _signed(lambda: _read_samples(folder), settings, warnings)
    shape = mlmodel.row_shape or (len(contract.inputs or ()),)
    memory = MemoryBudget(settings.memory_mb)
    predict, runs, note, row_seconds = within(
        settings.deadline_seconds, lambda: _prove(mlmodel, samples, shape, settings, compiled)
    )
    memory.check()
    took = time.perf_counter() - started
    return Release(
        version, predict, runs, row_seconds, took, tuple(warnings), shape, mlmodel.metadata, note
    )


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
        if wanted is None:
            continue
        found = {str(column.get("name")): str(column.get("type")) for column in columns}
        if list(found.items()) != list(wanted.items()):
            raise Refusal(
                "signature",
                f"the version's {side} are {found}, but this service needs {dict(wanted)}",
            )


def check_samples(predict: Predictor, samples: Samples) -> None:
    """The version answers its samples as it did at training, within their tolerance."""
    expected = samples.expected()
    try:
        found = np.asarray(predict(samples.batch()))
        if expected.shape == (len(found), 1) and found.ndim == 1:
            expected = expected[:, 0]  # a table of one column tells what such a model answers
        wrong = ~samples.close(found, expected) if found.shape == expected.shape else None
    except Exception as error:
        raise Refusal("samples", f"{type(error).__name__} at the samples: {error}") from error
    if wrong is None:
        raise Refusal(
            "samples",
            f"the samples' answers have the shape {found.shape}, not "
            f"{expected.shape} as at training",
        )
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise Refusal(
            "samples",
            f"{int(wrong.sum())} of {wrong.size} values differ from those of "
            f"the training; the first is row {row}: {found[row].tolist()} instead of "
            f"{expected[row].tolist()}",
        )


def check_latency(seconds: float, settings: AdmissionSettings) -> None:
    """One row takes no longer than it may."""
    if seconds * 1000 > settings.latency_ms:
        raise Refusal(
            "latency",
            f"one row takes {seconds * 1000:.0f} ms; the budget is "
            f"{settings.latency_ms:.0f} ms (admission.latency_ms)",
        )


def _prove(
    mlmodel: MLmodel,
    samples: Samples | None,
    row_shape: tuple[int, ...],
    settings: AdmissionSettings,
    compiled: Path,
) -> tuple[Predictor, Runs, str, float]:
    """Everything that calls the model: samples, compiling, warm-up."""
    predict, runs, note = _predictor(mlmodel, samples, settings, compiled)
    batch = samples.batch() if samples else np.zeros((1, *map(abs, row_shape)))
    seconds = warm_up(predict, batch)
    check_latency(seconds, settings)
    return predict, runs, note, seconds


def _predictor(
    mlmodel: MLmodel, samples: Samples | None, settings: AdmissionSettings, compiled: Path
) -> tuple[Predictor, Runs, str]:
    """What answers: compiled before, compiled now, or native; and what is known of its answers."""
    before = open_compiled(compiled) if samples and settings.compile else Made(None, "")
    if samples and before.predict:
        with suppress(Refusal):
            check_samples(before.predict, samples)
            return before.predict, "onnx", before.note
    loaded = load(mlmodel)
    if samples is None:
        return loaded.predict, "native", "without samples it is not compiled"
    check_samples(loaded.predict, samples)
    if not settings.compile:
        return loaded.predict, "native", "admission.compile is off"
    made = compile_rows(loaded, samples, compiled)
    return (
        (made.predict, "onnx", made.note)
        if made.predict
        else (loaded.predict, "native", made.note)
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


def _running(library: str) -> str:
    if library == "python":
        return python_version()
    try:
        return installed(library)
    except PackageNotFoundError:
        return ""
