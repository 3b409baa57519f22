"""The checks before a version may serve that is asked by its schema.

Such a version was logged by MLflow alone: no manifest and no tag of ours say what it should be.
So what its files were at the first admission is noted with the version, and holds from then on.
"""

import hashlib
from functools import partial
from pathlib import Path

import msgspec

from bentos.admission.budgets import MemoryBudget, check_latency, warm_up
from bentos.admission.compiling import COMPILED
from bentos.admission.elsewhere import Tried, elsewhere, serve
from bentos.admission.forms import leave_opened
from bentos.admission.judge import check_digests
from bentos.admission.making import Asked, Made, by_graph
from bentos.admission.manifest import sha256
from bentos.admission.verdict import Admitted, Case
from bentos.flavors.graphs import NoGraph, compile_model
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import shares_of
from bentos.flavors.releases import of_another
from bentos.flavors.samples import samples_of
from bentos.protocols.rows import Rows
from bentos.refusal import Refusal
from bentos.registry.client import Version
from bentos.registry.tags import PIN_TAG
from bentos.serving.release import Probabilities
from bentos.settings import AdmissionSettings
from bentos.tensors import Batch, Schema


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
    tried = _tried(case, mlmodel, settings, place)
    schema, samples, made = tried.asked.schema, tried.asked.samples, tried.made
    seconds = warm_up(made.predict, samples, samples.rows(0, 1))
    check_latency(seconds, settings)
    memory.check()
    return Admitted(
        case.key, mlmodel.flavor, made.runs, "; ".join(filter(None, (tried.note, made.note))),
        seconds, metadata=mlmodel.metadata, schema=schema,
        example=_example(schema, samples), made_up=tried.asked.made_up, files=files,
        classes=made.probabilities.classes, lacks=made.probabilities.lacks,
    )  # fmt: skip


def _tried(case: Case, mlmodel: MLmodel, settings: AdmissionSettings, place: Path) -> Tried:
    """What answers, of the releases that the version was trained with."""
    if case.environment:
        with elsewhere(case.environment, case.folder, settings) as there:
            return serve(there, mlmodel, settings, place)
    opened = open_model(mlmodel)
    samples, made_up = _samples(mlmodel, opened, settings)
    shares = Probabilities(*shares_of(opened, samples))
    asked = Asked(opened.schema, samples, opened.predict, shares, made_up)
    return Tried(asked, _made(mlmodel, opened, asked, settings, place), opened.note)


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


def _samples(mlmodel: MLmodel, opened: Opened, settings: AdmissionSettings) -> tuple[Batch, bool]:
    """Rows that the model answers, quickly enough, and whether they are made up."""
    samples, made_up = samples_of(mlmodel, opened)
    try:
        seconds = warm_up(opened.predict, samples, samples.rows(0, 1))
    except Exception as error:
        what = "rows made up from the model" if made_up else "the input example"
        said = f"{type(error).__name__} at {what}: {error}"
        raise of_another(mlmodel, error) or Refusal("samples", said) from error
    check_latency(seconds, settings)
    return samples, made_up


def _made(
    mlmodel: MLmodel, opened: Opened, asked: Asked, settings: AdmissionSettings, place: Path
) -> Made:
    """What answers, and is left at the place: by a graph that is proved, or else natively."""
    name, note = type(opened.model).__name__, "admission.compile is off"
    if settings.compile and not type(opened.model).__module__.startswith(COMPILED):
        note = f"{name} has no graph"
    elif settings.compile:
        compiled = partial(compile_model, opened.model, opened.schema, opened.method)
        try:
            return by_graph(asked, compiled, place)
        except NoGraph as error:
            note = f"{name} stays native: {error}"
        except Exception as error:
            note = f"{name} stays native: {type(error).__name__}: {error}"
    native = leave_opened(mlmodel, opened, asked.samples, place)
    return Made(native, "native", note, asked.probabilities)


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
