"""The checks before a version may serve that is asked by its schema.

Such a version was logged by MLflow alone: no manifest and no tag of ours say what it should be.
So what its files were at the first admission is noted with the version, and holds from then on.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bentos.admission.budgets import MemoryBudget, check_latency, warm_up
from bentos.admission.compiling import COMPILED, leave, proved
from bentos.admission.forms import leave_opened
from bentos.admission.judge import check_digests
from bentos.admission.manifest import sha256
from bentos.admission.verdict import GRAPH, Admitted, Case
from bentos.flavors.graphs import NoGraph, Session
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import NoProbabilities, classes_of, with_probabilities
from bentos.flavors.releases import of_another
from bentos.flavors.samples import samples_of
from bentos.protocols.rows import Rows
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.registry.tags import PIN_TAG
from bentos.serving.release import Probabilities, Runs
from bentos.settings import AdmissionSettings
from bentos.tensors import Batch, Schema

if TYPE_CHECKING:
    from onnx import ModelProto


class Made(NamedTuple):
    """What answers, and what is known of it."""

    predict: Predict
    runs: Runs
    note: str
    probabilities: Probabilities


def admit_by_schema(case: Case, settings: AdmissionSettings, place: Path) -> Admitted:
    """Judge a version; what workers open is left at `place`.

    Raises Refusal, which names the check that failed.
    """
    version, folder = case.version, case.folder
    mlmodel = MLmodel(folder)
    if version.name not in settings.allow_code:
        mlmodel.refuse_code()
    if settings.pickles == "refuse":
        mlmodel.refuse_pickles()
    if version.digest:  # as training signed it, whatever lies in the store now
        check_digests(version, folder)
    files = check_pin(version, folder)
    memory = MemoryBudget(settings.memory_mb)
    opened = open_model(mlmodel)
    samples = _samples(mlmodel, opened, settings)
    made = _made(mlmodel, opened, samples, settings, place)
    seconds = warm_up(made.predict, samples, samples.rows(0, 1))
    memory.check()
    return Admitted(
        case.key, mlmodel.flavor, made.runs, "; ".join(filter(None, (opened.note, made.note))),
        seconds, metadata=mlmodel.metadata, schema=opened.schema,
        example=_example(opened.schema, samples), classes=made.probabilities.classes,
        lacks=made.probabilities.lacks, files=files,
    )  # fmt: skip


def check_pin(version: Version, folder: Path) -> str:
    """The digest of all files, which is the one of the first admission, or Refusal."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0{sha256(path)}\n".encode())
    found, pinned = f"sha256:{digest.hexdigest()}", version.tag(PIN_TAG)
    if pinned and pinned != found:
        raise Refusal(
            "digest",
            f"the files are {found}, but at the first admission they were {pinned}: restore them "
            f"in the store, or delete the version's tag {PIN_TAG} if the change is yours",
        )
    return found


def _samples(mlmodel: MLmodel, opened: Opened, settings: AdmissionSettings) -> Batch:
    """Rows that the model answers, quickly enough."""
    samples, made_up = samples_of(mlmodel, opened)
    try:
        seconds = warm_up(opened.predict, samples, samples.rows(0, 1))
    except Exception as error:
        what = "rows made up from the model" if made_up else "the input example"
        said = f"{type(error).__name__} at {what}: {error}"
        raise of_another(mlmodel, error) or Refusal("samples", said) from error
    check_latency(seconds, settings)
    return samples


def _made(
    mlmodel: MLmodel, opened: Opened, samples: Batch, settings: AdmissionSettings, place: Path
) -> Made:
    """What answers, and is left at the place: by a graph that is proved, or else natively."""
    shares = _probabilities(opened, samples)
    name, note = type(opened.model).__name__, "admission.compile is off"
    if settings.compile and not type(opened.model).__module__.startswith(COMPILED):
        note = f"{name} has no graph"
    elif settings.compile:
        try:
            proto, proof, proved_shares = _graph(opened, shares, samples)
        except NoGraph as error:
            note = f"{name} stays native: {error}"
        except Exception as error:
            note = f"{name} stays native: {type(error).__name__}: {error}"
        else:
            return Made(Session(leave(proto, place / GRAPH)), "onnx", proof, proved_shares)
    return Made(leave_opened(mlmodel, opened, samples, place), "native", note, shares)


def _probabilities(opened: Opened, samples: Batch) -> Probabilities:
    """Those that a model gives by itself, tried with the samples."""
    try:
        classes, predict = classes_of(opened), with_probabilities(opened)
        predict(samples)
    except Exception as error:
        said = str(error) if isinstance(error, NoProbabilities | Refusal) else repr(error)
        return Probabilities(lacks=said)
    return Probabilities(classes, predict)


def _graph(
    opened: Opened, shares: Probabilities, samples: Batch
) -> "tuple[ModelProto, str, Probabilities]":
    """A graph that is proved, with the probabilities where it can give them. Raises NoGraph."""
    model, schema, method = opened.model, opened.schema, opened.method
    if shares.predict:
        try:
            made = proved(model, schema, method, shares.predict, samples, probabilities=True)
            return *made, shares
        except NoGraph as error:
            shares = Probabilities(lacks=f"its graph gives none: {error}")
    return *proved(model, schema, method, opened.predict, samples), shares


def _example(schema: Schema, samples: Batch) -> bytes:
    """One call's body."""
    row = samples.rows(0, 1)
    body = Rows(schema, 1).encode(row, many=False)
    single = schema.single
    if single is not None:
        return msgspec.json.encode(msgspec.json.decode(body)[single.name])
    if schema.positional:
        return msgspec.json.encode(list(msgspec.json.decode(body).values()))
    return body
