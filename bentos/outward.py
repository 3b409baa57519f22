"""How calls to MLflow, S3 and PostgreSQL go, for whoever counts them: metrics, in a service."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

To: TypeAlias = Literal["mlflow", "s3", "postgres"]
Heard: TypeAlias = Callable[[To, float, bool], None]  # to whom, for how many seconds, in vain

_heard: list[Heard] = []


def listen(heard: Heard) -> None:
    """Let one hear of the calls of this process from now on, from several threads."""
    _heard[:] = [heard]


def tell(to: To, began: float, failed: bool) -> None:
    """A call ended that began at a time of the performance counter."""
    for heard in _heard:
        heard(to, time.perf_counter() - began, failed)


@contextmanager
def calling(to: To) -> Iterator[None]:
    """A call, which fails if an error ends it."""
    began, failed = time.perf_counter(), True
    try:
        yield
        failed = False
    finally:
        tell(to, began, failed)


def s3_begins(context: dict[str, Any], **_: object) -> None:
    """What botocore says before a call."""
    context["ascenso.began"] = time.perf_counter()


def s3_ended(context: dict[str, Any], http_response: Any = None, **_: object) -> None:
    """What botocore says after a call, with no answer if there was none."""
    failed = http_response is None or http_response.status_code >= 500
    tell("s3", context.get("ascenso.began", time.perf_counter()), failed)
