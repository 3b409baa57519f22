"""The checks before a version may serve that is asked by its schema.

Such a version was logged by MLflow alone: no manifest and no tag of ours say what it should be.
So what its files were at the first admission is noted with the version, and holds from then on.
"""

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from bentos.admission import probes
from bentos.admission.budgets import WARM_UP_CALLS, MemoryBudget, within
from bentos.admission.compiling import COMPILED, MADE_BY, PROOF, keep, proved
from bentos.admission.judge import check_digests, check_latency
from bentos.admission.manifest import sha256
from bentos.flavors.graphs import NoGraph, Session, fingerprint
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import NoProbabilities, classes_of, with_probabilities
from bentos.flavors.releases import of_another
from bentos.flavors.samples import samples_of
from bentos.protocols.rows import Rows
from bentos.refusal import Refusal
from bentos.registry.client import Tag, Version
from bentos.registry.tags import PIN_TAG
from bentos.serving.budget import Model
from bentos.serving.release import Probabilities, Release, Runs
from bentos.settings import AdmissionSettings
from bentos.tensors import Batch, Schema

if TYPE_CHECKING:
    from onnx import ModelProto

SCHEMA, EXAMPLE, FILES = "ascenso.schema", "ascenso.example", "ascenso.files"
CLASSES, LACKS = "ascenso.classes", "ascenso.lacks"  # of the probabilities


class Made(NamedTuple):
    """What answers, and what is known of it."""

    predict: Predict
    schema: Schema
    runs: Runs
    note: str
    example: bytes
    row_seconds: float
    probabilities: Probabilities


class Admitted(NamedTuple):
    """What opens a version again: the digest of its files, how it runs, what it was asked for."""

    version: Version
    files: str
    runs: Runs
    probable: bool


def admit_by_schema(
    version: Version, folder: Path, settings: AdmissionSettings, compiled: Path
) -> Release:
    """Judge a version fetched to `folder`; its compiled form is kept at `compiled`.

    Raises Refusal, which names the check that failed.
    """
    started = time.perf_counter()
    mlmodel = MLmodel(folder)
    if version.name not in settings.allow_code:
        mlmodel.refuse_code()
    if settings.pickles == "refuse":
        mlmodel.refuse_pickles()
    if version.digest:  # as training signed it, whatever lies in the store now
        check_digests(version, folder)
    files = check_pin(version, folder)
    memory = MemoryBudget(settings.memory_mb)
    made = within(settings.deadline_seconds, lambda: _made(mlmodel, settings, compiled, files))
    memory.check()
    return Release(
        version, made.predict, made.runs, made.row_seconds, time.perf_counter() - started,
        metadata=mlmodel.metadata, note=made.note, schema=made.schema, example=made.example,
        files=files, probabilities=made.probabilities,
    )  # fmt: skip


def open_again(
    admitted: Admitted, folder: Path, settings: AdmissionSettings, compiled: Path
) -> Model:
    """The model of a version that was admitted. Raises Refusal where its files are others now."""
    pinned = (Tag(PIN_TAG, admitted.files),)
    files = check_pin(msgspec.structs.replace(admitted.version, tags=pinned), folder)
    if admitted.runs == "native":
        opened = open_model(MLmodel(folder))
        return Model(opened.predict, with_probabilities(opened) if admitted.probable else None)
    made = _made(MLmodel(folder), settings, compiled, files)
    return Model(made.predict, made.probabilities.predict)


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


def _made(mlmodel: MLmodel, settings: AdmissionSettings, compiled: Path, files: str) -> Made:
    if settings.compile and (kept := _kept(compiled, files)):
        return kept
    opened = open_model(mlmodel)
    samples, made_up = samples_of(mlmodel, opened)
    try:
        seconds = warm_up(opened.predict, samples)
    except Exception as error:
        what = "rows made up from the model" if made_up else "the input example"
        said = f"{type(error).__name__} at {what}: {error}"
        raise of_another(mlmodel, error) or Refusal("samples", said) from error
    check_latency(seconds, settings)
    example = _example(opened.schema, samples)
    shares = _probabilities(opened, samples)
    native = Made(opened.predict, opened.schema, "native", "", example, seconds, shares)
    if not settings.compile:
        return native._replace(note=_said(opened, "admission.compile is off"))
    return _compiled(opened, native, samples, compiled, files)


def _said(opened: Opened, note: str) -> str:
    return "; ".join(filter(None, (opened.note, note)))


def warm_up(predict: Predict, batch: Batch) -> float:
    """Seconds for one row, the best of a few calls; a whole batch runs once as well."""
    predict(batch)
    row, best = batch.rows(0, 1), float("inf")
    for _ in range(WARM_UP_CALLS):
        started = time.perf_counter()
        predict(row)
        best = min(best, time.perf_counter() - started)
    return best


def _probabilities(opened: Opened, samples: Batch) -> Probabilities:
    """Those that a model gives by itself, tried with the samples."""
    try:
        classes, predict = classes_of(opened), with_probabilities(opened)
        predict(samples)
    except Exception as error:
        said = str(error) if isinstance(error, NoProbabilities | Refusal) else repr(error)
        return Probabilities(lacks=said)
    return Probabilities(classes, predict)


def _compiled(opened: Opened, native: Made, samples: Batch, path: Path, files: str) -> Made:
    """What answers by a graph where there is one that is proved, or else natively."""
    name = type(opened.model).__name__
    if not type(opened.model).__module__.startswith(COMPILED):
        return native._replace(note=_said(opened, f"{name} has no graph"))
    try:
        proto, proof, shares = _graph(opened, native.probabilities, samples)
    except NoGraph as error:
        return native._replace(note=_said(opened, f"{name} stays native: {error}"))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return native._replace(note=_said(opened, f"{name} stays native: {what}"))
    schema = msgspec.json.encode(native.schema).decode()
    notes = {
        PROOF: _said(opened, proof), FILES: files, SCHEMA: schema,
        EXAMPLE: native.example.decode(), CLASSES: json.dumps(shares.classes),
        LACKS: shares.lacks,
    }  # fmt: skip
    session = Session(keep(proto, path, notes))
    return _of(session, native.schema, warm_up(session, samples))


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


def _of(graph: Session, schema: Schema, seconds: float) -> Made:
    """A graph with what was noted in it."""
    notes = graph.notes
    predict = graph.with_probabilities if graph.gives_probabilities else None
    shares = Probabilities(tuple(json.loads(notes[CLASSES])), predict, notes[LACKS])
    return Made(graph, schema, "onnx", notes[PROOF], notes[EXAMPLE].encode(), seconds, shares)


def _kept(path: Path, files: str) -> Made | None:
    """The graph that this compiler made of the same files before."""
    try:
        graph = Session(path.read_bytes())
        notes = graph.notes
        if (notes[MADE_BY], notes[FILES]) != (fingerprint(), files):
            return None
        schema = msgspec.json.decode(notes[SCHEMA], type=Schema)
        return _of(graph, schema, warm_up(graph, probes.rows(schema, None, count=8)))
    except Exception:  # none, of another form, or damaged: it is made again
        return None


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
