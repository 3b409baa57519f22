"""What stands before MLflow: its absence, and its errors and those of the store, as answers."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

from anyio.to_thread import run_sync

from bentos.itransformer.jobs import TooManyJobs
from bentos.registry.client import NotInRegistry, RegistryUnavailable
from bentos.registry.sources import FileMissing, StoreUnavailable
from bentos.web.errors import HTTPError, Overloaded, Unavailable, clip

P = ParamSpec("P")
T = TypeVar("T")

BUSY_SECONDS = 30  # until another try, when all places in the queue are taken


async def ask(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread, with the errors of registry and store as answers."""
    try:
        return await run_sync(lambda: function(*args, **kwargs))
    except NotInRegistry as error:
        raise HTTPError(404, clip(str(error))) from None
    except TooManyJobs as error:
        raise Overloaded(f"{error}: try again later", BUSY_SECONDS) from None
    except (RegistryUnavailable, StoreUnavailable, FileMissing) as error:
        raise Unavailable(str(error)) from None


def need_mlflow() -> None:
    """Raise Unavailable where services run without the package that training needs."""
    found = find_spec("mlflow")
    if found is None or found.origin is None:
        raise Unavailable(
            "No model can be trained or installed here: the package mlflow is missing"
        )
