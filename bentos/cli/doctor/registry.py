"""The MLflow server: whether it answers, which it is, and what this account may do there."""

import re
import time

import httpx

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.cli.doctor.packages import wanted
from bentos.registry.access import PASSWORD, USER
from bentos.registry.client import CallFailed
from bentos.settings import Channel

ADDRESS = "make up, or set MLFLOW_TRACKING_URI"
ACCOUNT = f"set {USER} and {PASSWORD} to an account that may"
NONE = "2147483647"  # no version has this number: what is let through changes nothing
SHOWN = 5


def answers(ground: Ground) -> Found:
    """It is well, and how long it takes to say so."""
    started = time.perf_counter()
    registry = ground.registry
    try:
        answer = registry.http.get(f"{registry.uri}/health")
    except httpx.HTTPError as error:
        return failure(f"MLflow at {registry.uri} does not answer: {error}", ADDRESS)
    milliseconds = (time.perf_counter() - started) * 1000
    if answer.status_code != httpx.codes.OK:
        return failure(f"{registry.uri}/health answers {answer.status_code}", ADDRESS)
    return ok(f"MLflow at {registry.uri} answers in {milliseconds:.0f} ms")


def version(ground: Ground) -> Found:
    """It is of the series that was tried."""
    registry = ground.registry
    answer = registry.http.get(f"{registry.uri}/version")
    found, tried = answer.text.strip()[:40], _tried()
    if not answer.is_success or not found[:1].isdigit():
        return failure(f"{registry.uri} tells no version of MLflow's", ADDRESS)
    if tried and found.split(".")[0] != tried.split(".")[0]:
        return warning(f"MLflow is {found}; {tried} was tried", f"run MLflow {tried}")
    return ok(f"MLflow {found}")


def _tried() -> str:
    """The release that this package asks for where it brings MLflow along."""
    pins = (re.match(r"mlflow==([\d.]+)", one) for one in wanted())
    return next((pin[1] for pin in pins if pin), "")


def may_read(ground: Ground) -> Found:
    """This account sees the models."""
    try:
        return ok(f"{len(ground.models)} models")
    except CallFailed as error:
        return failure(str(error), ACCOUNT)


def may_tag(ground: Ground) -> Found:
    """This account may note on a version that it serves."""
    refused = _refused(ground, "set-tag", key="ascenso", value="")
    return refused or ok("this account may write tags")


def may_move_stages(ground: Ground) -> Found:
    """This account may promote."""
    refused = _refused(ground, "transition-stage", stage="None", archive_existing_versions=False)
    return refused or ok("this account may move stages")


def _refused(ground: Ground, call: str, **body: object) -> Found | None:
    """What is refused to this account, tried on a version that there is not."""
    if not ground.models:
        return ok("there is no model yet to try it on")
    name = next(iter(ground.models))
    path = f"mlflow/model-versions/{call}"
    answer = ground.registry.http.post(path, json={"name": name, "version": NONE, **body})
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return warning(
            f"this account may not {call} of {name}", f"{ACCOUNT}: mlflow/accounts.yaml"
        )
    if "RESOURCE_DOES_NOT_EXIST" not in answer.text:
        return warning(f"{path} answers {answer.status_code}: {answer.text[:200]}", "see its log")
    return None


def channels(ground: Ground) -> Found:
    """What the services follow, and how much of it points somewhere."""
    if not ground.models:
        return ok("there is no model yet")
    followed = {name: ground.settings.channel(name) for name in ground.models}
    kinds = sorted({_said(channel) for channel in followed.values()})
    known = len(ground.promoted)
    if not known:
        return warning(
            f"no model has a version in its channel ({'; '.join(kinds)[:200]})",
            "ascenso promote MODEL VERSION",
        )
    return ok(f"{known} of {len(followed)} models have a version in {'; '.join(kinds[:SHOWN])}")


def _said(channel: Channel) -> str:
    also = f", or an alias of {', '.join(channel.aliases)}" if channel.aliases else ""
    return f"the {channel}{also}"


CHAINS: tuple[Chain, ...] = (
    (answers, version, may_read, may_tag, may_move_stages, channels),
)  # fmt: skip
