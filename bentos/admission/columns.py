"""The checks before a version may serve that is asked by its schema.

Such a version was logged by MLflow alone: no manifest and no tag of ours say what it should be.
So what it was at the first admission is noted with the version, and holds from then on.
"""

from functools import partial
from pathlib import Path

import msgspec

from bentos.admission import isolated
from bentos.admission.budgets import MemoryBudget, check_latency, warm_up
from bentos.admission.compiling import COMPILED
from bentos.admission.elsewhere import elsewhere
from bentos.admission.forms import leave_opened
from bentos.admission.isolated import PYFUNC
from bentos.admission.judge import check_digests
from bentos.admission.making import Asked, Made, by_graph
from bentos.admission.networks import compile_network, is_network
from bentos.admission.pins import check_answers, check_files, sent
from bentos.admission.quarantine import OF_CODE, in_quarantine, named
from bentos.admission.stand_ins import Tried, serve
from bentos.admission.usual import leave_usual
from bentos.admission.verdict import GRAPH, Admitted, Case
from bentos.flavors.graphs import NoGraph, compile_model
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.networks import graph_predict
from bentos.flavors.opened import Opened
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import shares_of
from bentos.flavors.releases import of_another
from bentos.flavors.samples import samples_of
from bentos.refusal import Refusal
from bentos.serving.release import Probabilities
from bentos.settings import Rules
from bentos.tensors import Batch
from bentos.tracing.steps import step


def admit_by_schema(case: Case, settings: Rules, place: Path) -> Admitted:
    """Judge a version; what workers open is left at `place`.

    Raises Refusal, which names the check that failed.
    """
    version, folder = case.version, case.folder
    mlmodel = MLmodel(folder)
    with step("verify"):
        if settings.pickles == "refuse" and not case.house:
            mlmodel.refuse_pickles()
        if version.digest:  # as training signed it, whatever lies in the store now
            check_digests(version, folder)
        files = check_files(version, folder)
    memory = MemoryBudget(settings.memory_mb)
    tried = _tried(case, mlmodel, settings, place)
    schema, samples, made = tried.asked.schema, tried.asked.samples, tried.made
    with step("trial"):
        seconds = warm_up(made.predict, samples, samples.rows(0, 1))
        check_latency(seconds, settings)
        answers = check_answers(version, schema, made.predict, samples)
        memory.check()
    return Admitted(
        case.key, PYFUNC if case.house else mlmodel.flavor, made.runs,
        "; ".join(filter(None, (tried.note, made.note))), seconds, metadata=mlmodel.metadata,
        schema=schema,
        example=msgspec.json.encode(sent(schema, samples.rows(0, 1))[0]),
        made_up=tried.asked.made_up, files=files, answers=answers,
        classes=made.probabilities.classes, lacks=made.probabilities.lacks,
        python=tried.python, apart=tried.apart,
    )  # fmt: skip


def _tried(case: Case, mlmodel: MLmodel, settings: Rules, place: Path) -> Tried:
    """What answers; in quarantine or isolated, where that is permitted and needed."""
    if case.house:
        return isolated.tried(case, case.house, mlmodel, settings, place)
    name = case.version.name
    permitted = named(name, settings)
    try:
        if name not in settings.allow_code and not permitted:
            mlmodel.refuse_code()
        return _read(case, mlmodel, settings, place)  # which runs nothing of it
    except Refusal as error:
        if not permitted or error.reason not in OF_CODE:
            raise
        return in_quarantine(case.environment, mlmodel, settings, place, error)


def _read(case: Case, mlmodel: MLmodel, settings: Rules, place: Path) -> Tried:
    """What answers, read by the releases that the version was trained with."""
    if case.environment:
        with elsewhere(case.environment, case.folder, settings) as there:
            return serve(there, case.environment, mlmodel, settings, place)
    with step("load"):
        opened = open_model(mlmodel)
    samples, made_up = _samples(mlmodel, opened, settings)
    shares = Probabilities(*shares_of(opened, samples))
    asked = Asked(opened.schema, samples, opened.predict, shares, made_up)
    made = _made(mlmodel, opened, asked, settings, place)
    leave_usual(mlmodel, opened.carried, opened.schema, made.predict, place)
    return Tried(asked, made, opened.note)


@step("checks")
def _samples(mlmodel: MLmodel, opened: Opened, settings: Rules) -> tuple[Batch, bool]:
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


@step("compile")
def _made(mlmodel: MLmodel, opened: Opened, asked: Asked, settings: Rules, place: Path) -> Made:
    """What answers, and is left at the place: by a graph that is proved, or else natively."""
    name, note = type(opened.model).__name__, "admission.compile is off"
    if settings.compile:
        try:
            return _graph(opened, asked, settings, place)
        except OSError:
            raise
        except NoGraph as error:
            note = f"{name} stays native: {error}"
        except Exception as error:
            note = f"{name} stays native: {type(error).__name__}: {error}"
    native = leave_opened(mlmodel, opened, asked.samples, place)
    return Made(native, "native", note, asked.probabilities)


def _graph(opened: Opened, asked: Asked, settings: Rules, place: Path) -> Made:
    """A graph that is proved. Raises NoGraph."""
    model = opened.model
    if type(model).__module__.startswith(COMPILED):
        return by_graph(asked, partial(compile_model, model, opened.schema, opened.method), place)
    if not is_network(model):
        own = type(model).__module__.startswith("onnxruntime.")
        raise NoGraph("it is a graph itself" if own else "there is no graph of such models")
    found = compile_network(
        model, opened.schema, asked.predict, asked.samples, graph_predict, place / GRAPH,
        settings.deadline_seconds,
    )  # fmt: skip
    return Made(found.predict, "onnx", found.note, asked.probabilities)
