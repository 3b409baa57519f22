"""Versions with code, by permission: asked where they run, in a process of their own."""

from pathlib import Path

from msgspec import structs

from bentos.admission.forms import leave
from bentos.admission.housing import apart, isolate
from bentos.admission.making import Asked, Made
from bentos.admission.stand_ins import Tried
from bentos.admission.verdict import Case
from bentos.flavors.mlmodel import MLmodel
from bentos.flavors.opened import Opened
from bentos.flavors.samples import samples_of
from bentos.flavors.schemas import schema_of
from bentos.refusal import Reason, Refusal
from bentos.serving.release import Probabilities
from bentos.settings import ProcessSettings, Rules
from bentos.tensors import BadInput, Schema

PYFUNC = "python_function"
# Refusals of the ways without code, after which a version may still be isolated.
OTHERWISE: frozenset[Reason] = frozenset({"flavor", "pickle", "code", "library", "load"})
NO_PROBABILITIES = Probabilities(lacks="MLflow gives its answers alone")


def tried(case: Case, house: Path, mlmodel: MLmodel, rules: Rules, place: Path) -> Tried:
    """A version that was opened with its code. Raises Refusal and Failing."""
    if PYFUNC not in mlmodel.flavors:
        raise Refusal(
            "flavor",
            f"the version has no flavor {PYFUNC}, by which MLflow opens it: log it with "
            "mlflow.pyfunc.log_model, or its own flavor's",
        )
    shut = apart(case.code == "network", rules.quarantine_without_sandbox)
    schema = _fixed(schema_of(mlmodel, None))
    settings = ProcessSettings.model_validate_json(case.processes)
    native = leave(mlmodel, place)
    predict = isolate(house, native.folder, schema, shut, settings).predict
    samples, made_up = samples_of(mlmodel, Opened(None, "predict", schema, predict))
    try:
        predict(samples)
    except BadInput as error:
        what = "rows made up from its signature" if made_up else "its input example"
        raise Refusal("samples", f"it cannot answer {what}: {error.message}") from error
    asked = Asked(schema, samples, predict, NO_PROBABILITIES, made_up)
    note = {
        "shut": "its code runs in a sandbox",
        "network": "its code runs in a sandbox with the network",
        "nothing": "its code runs in a process of its own, without a sandbox",
    }[shut]
    made = Made(predict, "isolated", note, NO_PROBABILITIES)
    return Tried(asked, made, "", str(house), shut)


def _fixed(schema: Schema) -> Schema:
    """With params that keep their defaults: rows of several calls go together."""
    params = tuple(structs.replace(param, fixed=True) for param in schema.params)
    return structs.replace(schema, params=params)
