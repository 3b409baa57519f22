"""`python -m deploy.accounts FILE`: make the users and roles of an MLflow server as a file says.

The server is `MLFLOW_TRACKING_URI`, and MLFLOW_AUTH_ADMIN_USERNAME and _PASSWORD its admin. It may
be run again at any time; a new password in the environment replaces the old one.
API: https://mlflow.org/docs/latest/self-hosting/security/basic-http-auth/
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

WORKSPACE = "default"  # the only one of a server without workspaces
Grants = dict[str, str]


class AccountError(Exception):
    """A reason that a person can act on; shown without a stack trace."""


class Accounts(msgspec.Struct, forbid_unknown_fields=True):
    """Roles, as permission by resource type, and the roles of each user."""

    roles: dict[str, Grants]
    users: dict[str, list[str]]


def read(path: Path) -> Accounts:
    """Read the file. Raises `AccountError` that names what is wrong."""
    try:
        accounts = msgspec.yaml.decode(path.read_bytes(), type=Accounts)
    except (OSError, msgspec.DecodeError) as error:
        raise AccountError(f"{path}: {error}") from error
    for user, roles in accounts.users.items():
        if unknown := set(roles) - accounts.roles.keys():
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

    def ensure_role(self, name: str, grants: Grants) -> None:
        """Make a role with these permissions and no others."""
        role = self.roles().get(name)
        if role is None:
            made = self.call("POST", "3.0/mlflow/roles/create", workspace=WORKSPACE, name=name)
            role = made["role"]["id"]
        path = "3.0/mlflow/roles/permissions"
        held = self.call("GET", f"{path}/list", role_id=role)["role_permissions"]
        wanted = {(kind, "*", permission) for kind, permission in grants.items()}
        for grant in held:
            key = grant["resource_type"], grant["resource_pattern"], grant["permission"]
            if key in wanted:
                wanted.remove(key)
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
        server.ensure_role(name, grants)
    for user, roles in accounts.users.items():
        server.ensure_user(user, secrets[user])
        server.assign(user, set(roles))


def connect(env: Mapping[str, str]) -> httpx.Client:
    """A client of the server that the environment names. Raises `AccountError` without one."""
    names = ("MLFLOW_TRACKING_URI", "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD")
    if missing := [name for name in names if not env.get(name)]:
        raise AccountError(f"{missing[0]} is not set")
    uri, admin, secret = (env[name] for name in names)
    transport = httpx.HTTPTransport(retries=5)  # it may be starting
    return httpx.Client(base_url=uri, auth=(admin, secret), timeout=30, transport=transport)


def main(arguments: list[str]) -> int:
    """Run; give the exit code."""
    if len(arguments) != 1:
        print("usage: python -m deploy.accounts FILE", file=sys.stderr)  # noqa: T201
        return 2
    try:
        accounts = read(Path(arguments[0]))
        with connect(os.environ) as http:
            apply(Server(http), accounts, os.environ)
    except AccountError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
