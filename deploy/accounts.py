"""`python -m deploy.accounts FILE`: make the users and roles of an MLflow server as a file says.

MLflow grants by single names, so the roles of a team hold for the models and experiments that are
there: `--follow SECONDS` looks again and again for those that were made since.

The server is `MLFLOW_TRACKING_URI`, and MLFLOW_AUTH_ADMIN_USERNAME and _PASSWORD its admin. It may
be run again at any time; a new password in the environment replaces the old one.
API: https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import msgspec

ADMIN = "admin"  # whom no role binds
WORKSPACE = "default"  # the only one of a server without workspaces
Grants = dict[str, str]
Grant = tuple[str, str, str]  # resource type, pattern, permission
BY_NAME = ("registered_model", "experiment")  # of a team; other permissions are for all of a type


class AccountError(Exception):
    """A reason that a person can act on; shown without a stack trace."""


class Team(msgspec.Struct, forbid_unknown_fields=True):
    """Whose models and experiments have names of these patterns."""

    models: list[str]
    experiments: list[str]

    def has(self, kind: str, name: str) -> bool:
        """Whether a name is one of the team's."""
        patterns = self.models if kind == "registered_model" else self.experiments
        return any(fnmatchcase(name, pattern) for pattern in patterns)


class Accounts(msgspec.Struct, forbid_unknown_fields=True):
    """Roles, as permission by resource type, and the roles of each user.

    Each team has each of the `team_roles`: that of the team `gas` is named `trainer@gas`. Those of
    `sso` come by the company's login and have no password.
    """

    roles: dict[str, Grants]
    users: dict[str, list[str]]
    sso: dict[str, list[str]] = {}
    teams: dict[str, Team] = {}
    team_roles: dict[str, Grants] = {}

    @property
    def by_team(self) -> dict[str, tuple[Team, Grants]]:
        """The roles of all teams by name."""
        return {
            f"{role}@{name}": (team, grants)
            for name, team in self.teams.items()
            for role, grants in self.team_roles.items()
        }


def read(path: Path) -> Accounts:
    """Read the file. Raises `AccountError` that names what is wrong."""
    try:
        accounts = msgspec.yaml.decode(path.read_bytes(), type=Accounts)
    except (OSError, msgspec.DecodeError) as error:
        raise AccountError(f"{path}: {error}") from error
    if both := accounts.users.keys() & accounts.sso.keys() | {ADMIN} & accounts.sso.keys():
        raise AccountError(f"{path}: {', '.join(sorted(both))} of sso has a password: it may not")
    for user, roles in (accounts.users | accounts.sso).items():
        if unknown := set(roles) - accounts.roles.keys() - accounts.by_team.keys():
            raise AccountError(f"{path}: {user} has the unknown role {', '.join(sorted(unknown))}")
    return accounts


def password(user: str, env: Mapping[str, str]) -> str:
    """The password of a user. Raises `AccountError` with the name of the missing variable."""
    name = f"MLFLOW_PASSWORD_{user.upper().replace('-', '_')}"
    if not env.get(name):
        raise AccountError(f"{name} is not set: it holds the password of the user {user}")
    return env[name]


class Server:
    """The users and roles of one MLflow server. Raises `AccountError` for what it refuses."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def call(self, method: str, path: str, **body: object) -> Any:
        """One call of the API, with the body as the query of a GET."""
        keys: dict[str, Any] = {"params" if method == "GET" else "json": body}
        try:
            answer = self._http.request(method, f"/api/{path}", **keys)
        except httpx.HTTPError as error:
            raise AccountError(
                f"MLflow at {self._http.base_url} does not answer: {error}"
            ) from error
        if answer.is_error:
            raise AccountError(f"MLflow answered {answer.status_code} to {path}: {answer.text}")
        return answer.json() if answer.content else {}

    def opens(self, user: str, secret: str) -> bool:
        """Whether the server takes this password."""
        answer = self._http.get("/api/2.0/mlflow/users/current", auth=(user, secret))
        return answer.is_success

    def users(self) -> set[str]:
        """The names of all users."""
        return {user["username"] for user in self.call("GET", "2.0/mlflow/users/list")["users"]}

    def roles(self) -> dict[str, int]:
        """The id of each role, by name, without those that MLflow keeps for single users."""
        roles = self.call("GET", "3.0/mlflow/roles/list", workspace=WORKSPACE)["roles"]
        return {role["name"]: role["id"] for role in roles if not role["name"].startswith("__")}

    def ensure_user(self, user: str, secret: str) -> None:
        """Make a user, or give it this password."""
        if user not in self.users():
            self.call("POST", "2.0/mlflow/users/create", username=user, password=secret)
        elif not self.opens(user, secret):
            self.call("PATCH", "2.0/mlflow/users/update-password", username=user, password=secret)

    def resources(self) -> dict[str, dict[str, str]]:
        """The ids of all models and experiments by name, by type."""
        models = self._pages("GET", "registered-models/search", "registered_models")
        runs = self._pages("POST", "experiments/search", "experiments", view_type="ALL")
        return {
            "registered_model": {one["name"]: one["name"] for one in models},
            "experiment": {one["name"]: one["experiment_id"] for one in runs},
        }

    def _pages(self, method: str, path: str, key: str, **body: object) -> Iterator[Any]:
        token = ""
        while True:
            page = {"max_results": 1000} | ({"page_token": token} if token else {})
            found = self.call(method, f"2.0/mlflow/{path}", **body, **page)
            yield from found.get(key, [])
            token = found.get("next_page_token", "")
            if not token:
                return

    def ensure_role(self, name: str, wanted: set[Grant]) -> None:
        """Make a role with these permissions and no others."""
        role = self.roles().get(name)
        if role is None:
            made = self.call("POST", "3.0/mlflow/roles/create", workspace=WORKSPACE, name=name)
            role = made["role"]["id"]
        path = "3.0/mlflow/roles/permissions"
        held = self.call("GET", f"{path}/list", role_id=role)["role_permissions"]
        for grant in held:
            key = grant["resource_type"], grant["resource_pattern"], grant["permission"]
            if key in wanted:
                wanted = wanted - {key}
            else:
                self.call("DELETE", f"{path}/remove", role_permission_id=grant["id"])
        for kind, pattern, permission in sorted(wanted):
            grant = {"resource_type": kind, "resource_pattern": pattern, "permission": permission}
            self.call("POST", f"{path}/add", role_id=role, **grant)

    def assign(self, user: str, roles: set[str]) -> None:
        """Give a user these roles and no others."""
        ids = self.roles()
        held = self.call("GET", "3.0/mlflow/users/roles/list", username=user)["roles"]
        names = {role["name"] for role in held} & ids.keys()
        for name in names - roles:
            self.call("DELETE", "3.0/mlflow/roles/unassign", username=user, role_id=ids[name])
        for name in roles - names:
            self.call("POST", "3.0/mlflow/roles/assign", username=user, role_id=ids[name])


def apply(server: Server, accounts: Accounts, env: Mapping[str, str]) -> None:
    """Bring the server to what the file says."""
    secrets = {user: password(user, env) for user in accounts.users}
    for name, grants in accounts.roles.items():
        server.ensure_role(name, {(kind, "*", permission) for kind, permission in grants.items()})
    apply_teams(server, accounts)
    for user in accounts.sso.keys() - server.users():
        server.ensure_user(user, token_hex(32))  # which nobody knows
    for user, secret in secrets.items():
        server.ensure_user(user, secret)
    for user, roles in (accounts.users | accounts.sso).items():
        server.assign(user, set(roles))


def apply_teams(server: Server, accounts: Accounts) -> None:
    """Give the roles of teams what has a name of theirs by now."""
    if not accounts.teams:
        return
    there = server.resources()
    for name, (team, grants) in accounts.by_team.items():
        server.ensure_role(name, set(_grants(team, grants, there)))


def _grants(team: Team, grants: Grants, there: dict[str, dict[str, str]]) -> Iterator[Grant]:
    for kind, permission in grants.items():
        if kind not in BY_NAME:
            yield kind, "*", permission
            continue
        for name, resource in there[kind].items():
            if team.has(kind, name):
                yield kind, resource, permission


def connect(env: Mapping[str, str]) -> httpx.Client:
    """A client of the server that the environment names. Raises `AccountError` without one."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD")
    if missing := [name for name in names if not env.get(name)]:
        raise AccountError(f"{missing[0]} is not set")
    uri, admin, secret = (env[name] for name in names)
    transport = httpx.HTTPTransport(retries=5)  # it may be starting
    return httpx.Client(base_url=uri, auth=(admin, secret), timeout=30, transport=transport)


def follow(server: Server, accounts: Accounts, seconds: float) -> None:
    """Look for new models and experiments of the teams, until this is ended."""
    while True:
        time.sleep(seconds)
        try:
            apply_teams(server, accounts)
        except AccountError as error:  # it may be away for a while
            print(error, file=sys.stderr)  # noqa: T201


def main(arguments: list[str]) -> int:
    """Run; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.accounts", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--follow", type=float, metavar="SECONDS")
    asked = parser.parse_args(arguments)
    try:
        accounts = read(asked.file)
        with connect(os.environ) as http:
            server = Server(http)
            apply(server, accounts, os.environ)
            if asked.follow:
                follow(server, accounts, asked.follow)
    except AccountError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
