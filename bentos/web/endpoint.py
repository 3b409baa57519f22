"""One place of a service, written once: routes, guard and OpenAPI are made from this record."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from bentos.web.errors import Failure, Problem, Problems

Simple: TypeAlias = Callable[[Request], Awaitable[Response]]
Handler: TypeAlias = Simple | ASGIApp
Access = Literal["callers", "admins", "key", "token"]


@dataclass(frozen=True)
class Answer:
    """One answer of an endpoint; `kind` is the msgspec type of its JSON, None for no JSON."""

    meaning: str
    kind: Any = None
    example: Any = None


UNPROCESSABLE = Answer(
    "A field is missing, unknown, or not of its type",
    Problems,
    Problems([Problem(["body", "presion"], "Expected `float`, got `str`", "wrong_type")]),
)
NOT_READY = {503: Answer("No version serves yet", Failure)}


@dataclass(frozen=True)
class Endpoint:
    """Method and path, as Starlette's Route has them, what answers there, and who may call.

    `access` is "admins" for what changes something: pages of other origins may not call it, and
    where the service wants tokens, only those of admins open it. With "key" it wants the admin
    key or the token of an admin even where the service wants no tokens; with "token", the latter.

    `body` is the msgspec type of the JSON body, `query` a struct of the query parameters;
    `examples` are whole requests by name, `answers` go by status.
    """

    method: str
    path: str
    handler: Handler
    summary: str = ""
    answers: Mapping[int, Answer] = field(default_factory=dict)
    description: str = ""
    body: Any = None
    query: type[msgspec.Struct] | None = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    access: Access = "callers"
    bearer: bool = False
    include_in_schema: bool = True

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it: without Starlette's convertors."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def all_answers(self) -> dict[int, Answer]:
        """`answers`, and the 422 of every endpoint that takes input."""
        takes_input = self.body is not None or self.query is not None
        return ({422: UNPROCESSABLE} if takes_input else {}) | dict(self.answers)

    @property
    def kinds(self) -> list[Any]:
        """Every type that the endpoint reads or writes."""
        kinds = [self.body, self.query, *(answer.kind for answer in self.all_answers.values())]
        return [kind for kind in kinds if kind is not None]


def models(handler: Handler, kind: Any) -> Endpoint:
    """`GET /models` of a service with several; `kind` is the msgspec type of its answer."""
    return Endpoint(
        "GET", "/models", handler, "The models that serve", {200: Answer("They", kind)}
    )


def routes(endpoints: Iterable[Endpoint]) -> list[BaseRoute]:
    """Starlette's routes, one for all methods that a handler answers at a path."""
    methods: dict[tuple[str, Handler], list[str]] = {}
    for endpoint in endpoints:
        methods.setdefault((endpoint.path, endpoint.handler), []).append(endpoint.method)
    return [Route(path, handler, methods=found) for (path, handler), found in methods.items()]
