"""What stands before routes: the admin key, and the errors of registry and store as answers."""

import hmac
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Final, Literal, ParamSpec, TypeVar

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from bentos.itransformer.jobs import QueueFull
from bentos.itransformer.messages import NOT_AUTHORIZED
from bentos.registry.client import NotInRegistry, RegistryUnavailable
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.settings import settings
from bentos.web.auth.guard import gate
from bentos.web.errors import HTTPError, Overloaded, Unavailable, clip

P = ParamSpec("P")
T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]
Kind = Literal["everything", "deletes", "uploads", "training"]
EVERYTHING: Final = "everything"

BUSY_SECONDS = 30  # until another try, when all places in the queue are taken


async def ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread, with the errors of registry and store as answers."""
    try:
        return await run_sync(lambda: function(*args, **kwargs))
    except NotInRegistry as error:
        raise HTTPError(404, clip(str(error))) from None
    except QueueFull as error:
        raise Overloaded(f"{error}: try again later", BUSY_SECONDS) from None
    except (RegistryUnavailable, StoreUnavailable, FileMissing) as error:
        raise Unavailable(str(error)) from None


def keyed(kind: Kind, endpoint: Endpoint) -> Endpoint:
    """An endpoint that wants the admin key, if the key protects its kind.

    The token of an admin does as well, but not to clear everything.
    """
    if kind not in protected():
        return endpoint

    async def guarded(request: Request) -> Response:
        if not has_key(request) and (kind == EVERYTHING or not gate().is_admin(request.scope)):
            raise HTTPError(401, NOT_AUTHORIZED)
        return await endpoint(request)

    guarded.__name__ = endpoint.__name__  # it names the route in the metrics
    return guarded


def protected() -> list[Kind]:
    """What wants the admin key."""
    return [EVERYTHING, *settings().admin.protects]


def has_key(request: Request) -> bool:
    """Whether a request brought the admin key; none does where there is no key."""
    key = settings().admin_key.get_secret_value().encode()
    given = request.headers.get("x-admin-key", "").encode()
    return hmac.compare_digest(given, key) and bool(key)


def need_mlflow() -> None:
    """Raise Unavailable where services run without the package that training needs."""
    found = find_spec("mlflow")
    if found is None or found.origin is None:
        raise Unavailable(
            "No model can be trained or installed here: the package mlflow is missing"
        )
