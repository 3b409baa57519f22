"""The checks before a version may serve the rows of a service of its own."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from platform import python_version
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bentos.admission.budgets import MemoryBudget, check_latency, warm_up
from bentos.admission.compiling import compile_rows
from bentos.admission.forms import leave, leave_bands
from bentos.admission.manifest import (
    MANIFEST,
    Manifest,
    Samples,
    read_manifest,
    read_samples,
    sha256,
)
from bentos.admission.verdict import GRAPH, Admitted, Case
from bentos.flavors.loading import Predictor, load
from bentos.flavors.mlmodel import MLmodel
from bentos.refusal import Refusal
from bentos.registry.client import DIGEST_TAG, Version
from bentos.serving.release import Contract, Runs
from bentos.settings import Rules
from bentos.tracing.steps import step

T = TypeVar("T")


def admit(case: Case, settings: Rules, place: Path) -> Admitted:
    """Judge a version; what workers open is left at `place`.

    Raises Refusal, which names the check that failed.
    """
    version, folder, contract = case.version, case.folder, case.contract
    mlmodel = MLmodel(folder)
    warnings: list[str] = []
    with step("verify"):
        if version.name not in settings.allow_code:
            mlmodel.refuse_code()
        mlmodel.refuse_pickles()
        mlmodel.refuse_unknown()
        manifest = _signed(lambda: check_digests(version, folder), settings, warnings)
        if manifest:
            check_libraries(manifest.libraries, settings.libraries)
        _signed(lambda: check_signature(mlmodel, contract), settings, warnings)
        samples = _signed(lambda: _read_samples(folder), settings, warnings)
    shape = mlmodel.row_shape or (len(contract.inputs or ()),)
    batch = samples.batch() if samples else np.zeros((1, *map(abs, shape)))
    memory = MemoryBudget(settings.memory_mb)
    predict, runs, note = _predictor(mlmodel, samples, settings, place)
    leave_bands(mlmodel, place)
    with step("trial"):
        seconds = _warm_up(predict, batch)
        memory.check()
        check_latency(seconds, settings)
    return Admitted(
        case.key, mlmodel.flavor, runs, note, seconds, warnings=tuple(warnings),
        row=batch[0].tolist(), row_shape=shape, metadata=mlmodel.metadata,
    )  # fmt: skip


def check_digests(version: Version, folder: Path) -> Manifest:
    """Every file is the one that training stored."""
    manifest = _registered_manifest(version, folder)
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


def _registered_manifest(version: Version, folder: Path) -> Manifest:
    """The manifest, which is the one that training registered."""
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


@step("checks")
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


def _predictor(
    mlmodel: MLmodel, samples: Samples | None, settings: Rules, place: Path
) -> tuple[Predictor, Runs, str]:
    """What answers, and is left at the place: compiled or native; and why."""
    with step("load"):
        loaded = load(mlmodel)
    if samples is None:
        note = "without samples it is not compiled"
    else:
        check_samples(loaded.predict, samples)
        note = "admission.compile is off"
        if settings.compile:
            made = compile_rows(loaded, samples, place / GRAPH, settings.deadline_seconds)
            if made.predict:
                return made.predict, "onnx", made.note
            note = made.note
    leave(mlmodel, place)
    return loaded.predict, "native", note


def _warm_up(predict: Predictor, batch: NDArray[Any]) -> float:
    try:
        return warm_up(predict, batch, batch[:1])
    except Exception as error:
        raise Refusal("load", f"{type(error).__name__} while warming up: {error}") from error


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


def _signed(check: Callable[[], T], settings: Rules, warnings: list[str]) -> T | None:
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
