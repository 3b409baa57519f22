"""What serves here of a version that another process opens.

The model is asked there, and compiled there. What serves here was held against those answers: the
graph, or, where there is none, the same files opened by the releases that run here. Where neither
answers alike, a runner does: its own releases, in a process of each worker.
"""

import shutil
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

from bentos.admission import probes
from bentos.admission.compiling import PROOF_SECONDS
from bentos.admission.elsewhere import Elsewhere, line
from bentos.admission.forms import leave, leave_opened
from bentos.admission.housing import run
from bentos.admission.making import Asked, Made, by_graph
from bentos.admission.proof import prove
from bentos.admission.verdict import NATIVE, Apart
from bentos.flavors.graphs import NoGraph
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.natives import Predict
from bentos.flavors.opening import open_model
from bentos.flavors.probabilities import shares_of
from bentos.refusal import Refusal
from bentos.serving.release import Probabilities
from bentos.settings import Rules
from bentos.tensors import Batch


class Tried(NamedTuple):
    """A model that was tried, and what serves of it; `note` tells how it was opened.

    What runs in a process of its own has the `python` of that, and what it is `apart` in.
    """

    asked: Asked
    made: Made
    note: str
    python: str = ""
    apart: Apart = "shut"


def serve(there: Elsewhere, python: Path, mlmodel: MLmodel, settings: Rules, place: Path) -> Tried:
    """What serves a version with the answers that it gives there. Raises Refusal."""
    asked, used = there.asked(), ""
    try:
        made = graph_of(there, asked, settings, place)
    except NoGraph as error:
        there.check()
        try:
            made = _opened_here(asked, mlmodel, place, str(error))
        except Refusal as refusal:
            there.check()
            made, used = _by_runner(python, asked, mlmodel, place, refusal.message), str(python)
    note = line(there.opened.note)
    return Tried(asked, made, f"{note}, with {there.releases}".lstrip(", "), used)


def _by_runner(python: Path, asked: Asked, mlmodel: MLmodel, place: Path, why: str) -> Made:
    """The same files, opened once more by their own releases, as each worker will."""
    shutil.rmtree(place / NATIVE, ignore_errors=True)
    found = run(python, leave(mlmodel, place).folder, asked.schema)
    shares = replace(asked.probabilities, predict=found.shares)
    return Made(found.predict, "runner", f"{why}; so its own releases go on", shares)


def graph_of(there: Elsewhere, asked: Asked, settings: Rules, place: Path) -> Made:
    """A graph that is proved. Raises NoGraph, which says whose."""
    try:
        if not settings.compile:
            raise NoGraph("admission.compile is off")
        return by_graph(asked, there.compiled, place)
    except NoGraph as error:
        raise NoGraph(f"{line(there.opened.kind)} has no graph there: {error}") from error


def proved(asked: Asked, predict: Predict, shares: Probabilities) -> str:
    """What was found when this was held against what was asked. Raises Refusal."""
    wanted, found = asked.predict, predict
    if asked.probabilities.predict and shares.predict:
        wanted, found = asked.probabilities.predict, shares.predict
    proof = prove(wanted, found, _probes(asked), seconds=PROOF_SECONDS)
    if not proof.holds:
        raise Refusal("library", str(proof))
    return str(proof)


def _probes(asked: Asked) -> Batch:
    try:
        return probes.rows(asked.schema, asked.samples)
    except ValueError:  # of arrays none are made
        return asked.samples


def _opened_here(asked: Asked, mlmodel: MLmodel, place: Path, why: str) -> Made:
    """The same files, opened by the releases that run here, where these answer alike."""
    here = installed("scikit-learn")
    try:
        opened = open_model(mlmodel)
        if opened.schema != asked.schema:
            raise Refusal("library", f"its columns are others: train it again with {here}")
        shares = Probabilities(*shares_of(opened, asked.samples))
        try:
            proof = proved(asked, opened.predict, shares)
        except Refusal as error:
            raise Refusal("library", f"{error.message}: train it again with {here}") from error
        native = leave_opened(mlmodel, opened, asked.samples, place)
    except Refusal as error:
        message = f"{why}; scikit-learn {here} cannot stand in for it: {error.message}"
        raise Refusal("library", message) from error
    return Made(native, "native", f"{why}; opened here, {proof}", shares)
