"""Lets the members of a team give models and experiments only the names of their team.

MLflow's permissions are for what exists: whoever makes a model owns it, whatever its name. So this
is asked first, as `authorization_function` of auth.ini, which is MLflow's own place for it:
https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/#custom-authentication
The teams are those of ASCENSO_ACCOUNTS, or of accounts.yaml beside this file.
"""

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from ascenso_oidc import Refused, issuer
from flask import Response, make_response, request
from mlflow.protos.model_registry_pb2 import CreateRegisteredModel, RenameRegisteredModel
from mlflow.protos.service_pb2 import CreateExperiment, UpdateExperiment
from mlflow.server.auth import authenticate_request_basic_auth
from mlflow.server.handlers import _get_request_message  # so that both read the same name
from werkzeug.datastructures import Authorization

FILE = Path(os.environ.get("ASCENSO_ACCOUNTS", Path(__file__).with_name("accounts.yaml")))
Kind = Literal["models", "experiments"]
NAMING: dict[str, tuple[Kind, Callable[[], Any], str]] = {
    "/mlflow/registered-models/create": ("models", CreateRegisteredModel, "name"),
    "/mlflow/registered-models/rename": ("models", RenameRegisteredModel, "new_name"),
    "/mlflow/experiments/create": ("experiments", CreateExperiment, "name"),
    "/mlflow/experiments/update": ("experiments", UpdateExperiment, "new_name"),
}


def authenticate() -> Authorization | Response:
    """Who calls, by MLflow's own users or the company's login; 403 for a name of another team."""
    found = _caller()
    if isinstance(found, Response):
        return found
    trouble = _foreign(str(found.username))
    if not trouble:
        return found
    return make_response({"error_code": "PERMISSION_DENIED", "message": trouble}, 403)


def _caller() -> Authorization | Response:
    given, login = request.authorization, issuer()
    if login is None or given is None or given.type != "bearer":
        basic: Authorization | Response = authenticate_request_basic_auth()
        return basic
    try:
        return Authorization("basic", {"username": login.user(given.token or "", _coming())})
    except Refused as error:
        message = f"The token opens nothing here: {error}"
        answer = make_response({"error_code": "UNAUTHENTICATED", "message": message}, 401)
        answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return answer


@cache
def _coming() -> frozenset[str]:
    """Who may come by the company's login."""
    return frozenset(yaml.safe_load(FILE.read_text()).get("sso", {}))


def _foreign(user: str) -> str:
    """What is wrong with the name that a call gives, if it is not one of the user's teams."""
    place = "/mlflow/" + request.path.rstrip("/").partition("/mlflow/")[2]
    if place not in NAMING or user not in _members():
        return ""
    kind, message, field = NAMING[place]
    name = str(getattr(_get_request_message(message()), field))  # type: ignore[no-untyped-call]
    patterns = _members()[user][kind]
    if any(fnmatchcase(name, pattern) for pattern in patterns):
        return ""
    return f"{user} may name {kind} {' or '.join(patterns) or 'in no way'}, and not {name[:200]!r}"


@cache
def _members() -> dict[str, dict[Kind, list[str]]]:
    """The patterns of the names that each member of a team may give."""
    told = yaml.safe_load(FILE.read_text())
    members: dict[str, dict[Kind, list[str]]] = {}
    for user, roles in (told["users"] | told.get("sso", {})).items():
        for team in (role.partition("@")[2] for role in roles if "@" in role):
            of = members.setdefault(user, {"models": [], "experiments": []})
            for kind, patterns in of.items():
                patterns += told["teams"][team].get(kind, [])
    return members
