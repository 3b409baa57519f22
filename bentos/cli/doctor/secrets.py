"""The secrets: there where they are wanted, long enough, and nobody else's to read."""

from pydantic import SecretStr

from bentos.cli.doctor.findings import Chain, Found, failure, ok, warning
from bentos.cli.doctor.ground import Ground
from bentos.web.auth.tokens import Insecure, Tokens
from bentos.web.auth.users import UserFile

LOGIN, WEBHOOK, ADMIN = (
    "ASCENSO_SECURITY__SECRET", "ASCENSO_WEBHOOK_SECRET", "ASCENSO_ADMIN_KEY",
)  # fmt: skip
SHORTEST = 16  # characters
FEWEST = 6  # different ones
MAKE = "`python -c 'import secrets; print(secrets.token_hex(32))'` makes one"
OTHERS = 0o077


def tokens(ground: Ground) -> Found:
    """What signs the tokens of guarded services."""
    security = ground.settings.security
    if not security.guarded:
        return ok("no service is guarded")
    if security.algorithm == "HS256":
        secret = security.secret.get_secret_value() or ground.known(LOGIN)
        if len(set(secret)) < FEWEST:
            return failure(f"{LOGIN} is {'weak' if secret else 'not set'}", f"set {LOGIN}; {MAKE}")
        security = security.model_copy(update={"secret": SecretStr(secret)})
    try:
        Tokens(security)
    except Insecure as error:
        return failure(str(error), f"set {LOGIN}, or security.key_file")
    return ok(f"tokens of {', '.join(security.guarded)} are signed with {security.algorithm}")


def webhook_secret(ground: Ground) -> Found:
    """What MLflow's deliveries are signed with, if there are any."""
    secret = ground.settings.webhook_secret.get_secret_value() or ground.known(WEBHOOK)
    return _strong(WEBHOOK, secret) or ok("none is set: /hooks/mlflow is off")


def admin_key(ground: Ground) -> Found:
    """What opens itransformer's deletes, uploads and trainings, if anything does."""
    secret = ground.settings.admin_key.get_secret_value() or ground.known(ADMIN)
    return _strong(ADMIN, secret) or ok("none is set: what wants it answers 401")


def _strong(name: str, secret: str) -> Found | None:
    if not secret:
        return None
    if len(secret) < SHORTEST or len(set(secret)) < FEWEST:
        return failure(f"{name} is weak: {len(secret)} characters", f"set {name}; {MAKE}")
    return ok(f"{name} is set")


def file_of_secrets(ground: Ground) -> Found:
    """Its owner's only."""
    path = ground.secrets
    if not path.exists():
        return ok(f"there is no {path}")
    mode = path.stat().st_mode
    if mode & OTHERS:
        return failure(
            f"{path} can be read by others (mode {mode & 0o777:o})", f"chmod 600 {path}"
        )
    return ok(f"{path} is its owner's only")


def users(ground: Ground) -> Found:
    """Somebody may log in where a token is wanted."""
    security = ground.settings.security
    count = len(UserFile(ground.settings.home / "users.json").read() | dict(security.users))
    if security.guarded and not count:
        guarded = ", ".join(security.guarded)
        return warning(f"{guarded} wants a token, and nobody may log in", "ascenso user add NAME")
    return ok(f"{count} users may log in")


CHAINS: tuple[Chain, ...] = (
    (tokens,), (webhook_secret,), (admin_key,), (file_of_secrets,), (users,),
)  # fmt: skip
