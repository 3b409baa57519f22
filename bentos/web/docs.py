"""OpenAPI 3.1 and its two readers, Swagger UI and ReDoc, served without the internet.

Every URL in these pages is relative, so they work alone, under a mount, and behind a proxy
that cuts a prefix. Format: https://spec.openapis.org/oas/v3.1.1.html
"""

import base64
import hashlib
import html
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bentos.web.errors import JSON, Problem, Problems

REFERENCE = "#/components/schemas/{name}"
DAY = 86_400  # seconds


@dataclass(frozen=True)
class Answer:
    """One answer of an operation; `kind` is the msgspec type of its JSON, None for no JSON."""

    meaning: str
    kind: Any = None
    example: Any = None


@dataclass(frozen=True)
class Operation:
    """One route as its reader sees it.

    `body` is the msgspec type of the JSON body, `query` a struct of the query parameters;
    `examples` are whole requests by name, `answers` go by status. `{name}` in the path is a text.
    """

    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    body: Any = None
    query: type[msgspec.Struct] | None = None
    examples: Mapping[str, Any] = field(default_factory=dict)
    bearer: bool = False

    @property
    def all_answers(self) -> dict[int, Answer]:
        """`answers`, and the 422 of every operation that takes input."""
        takes_input = self.body is not None or self.query is not None
        return ({422: UNPROCESSABLE} if takes_input else {}) | dict(self.answers)

    @property
    def kinds(self) -> list[Any]:
        """Every type that the operation reads or writes."""
        kinds = [self.body, self.query, *(answer.kind for answer in self.all_answers.values())]
        return [kind for kind in kinds if kind is not None]


UNPROCESSABLE = Answer(
    "A field is missing, unknown, or not of its type",
    Problems,
    Problems([Problem(["body", "presion"], "Expected `float`, got `str`", "wrong_type")]),
)


class _Schemas:
    """JSON schemas of all types of a service, made in one call so that names do not clash."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._types = [kind for operation in operations for kind in operation.kinds]
        schemas, components = msgspec.json.schema_components(self._types, ref_template=REFERENCE)
        self._schemas: list[dict[str, Any]] = list(schemas)
        self.components: dict[str, dict[str, Any]] = components

    def of(self, kind: Any) -> dict[str, Any]:
        return self._schemas[self._types.index(kind)]

    def whole(self, struct: type[msgspec.Struct]) -> dict[str, Any]:
        """The struct's own schema, not a reference to it."""
        return self.components[self.of(struct)["$ref"].rpartition("/")[2]]


def openapi(
    title: str, version: str, operations: Sequence[Operation], description: str = ""
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `operations`; its server is wherever it was read from.

    Of two operations with one path and method the first is told, as the first route answers.
    """
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        told = _operation(operation, schemas)
        paths.setdefault(operation.path, {}).setdefault(operation.method.lower(), told)
    components: dict[str, Any] = {"schemas": schemas.components}
    if any(operation.bearer for operation in operations):
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.1",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": components,
    }


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{operation.method.lower()}{operation.path}").strip("_")
    told: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "description": operation.description,
        "parameters": _parameters(operation, schemas),
        "responses": {
            str(status): _response(answer, schemas)
            for status, answer in sorted(operation.all_answers.items())
        },
    }
    if operation.body is not None:
        examples = {name: {"value": value} for name, value in operation.examples.items()}
        content = {"schema": schemas.of(operation.body), "examples": examples}
        told["requestBody"] = {"required": True, "content": {JSON: content}}
    if operation.bearer:
        told["security"] = [{"bearer": []}]
    return told


def _parameters(operation: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    if operation.query is None:
        return told
    struct = schemas.whole(operation.query)
    example: dict[str, Any] = next(iter(operation.examples.values()), {})
    for name, schema in struct["properties"].items():
        required = name in struct.get("required", [])
        parameter = {"name": name, "in": "query", "required": required, "schema": schema}
        told.append(parameter | ({"example": example[name]} if name in example else {}))
    return told


def _response(answer: Answer, schemas: _Schemas) -> dict[str, Any]:
    if answer.kind is None:
        return {"description": answer.meaning}
    content = {"schema": schemas.of(answer.kind)}
    if answer.example is not None:
        content["example"] = msgspec.to_builtins(answer.example)
    return {"description": answer.meaning, "content": {JSON: content}}


_START_SWAGGER = """
SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  tryItOutEnabled: true, displayRequestDuration: true,
});
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/assets/favicon.png">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_SWAGGER = (
    '<link rel="stylesheet" href="docs/assets/swagger-ui.css">',
    '<div id="swagger-ui"></div>\n<script src="docs/assets/swagger-ui-bundle.js"></script>\n'
    f"<script>{_START_SWAGGER}</script>",
)
_REDOC = (
    "<style>body { margin: 0 }</style>",
    '<redoc spec-url="openapi.json"></redoc>\n'
    '<script src="docs/assets/redoc.standalone.js"></script>',
)
_START_DIGEST = base64.b64encode(hashlib.sha256(_START_SWAGGER.encode()).digest()).decode()
# Both readers write <style> elements. ReDoc searches in a worker made from a blob, and its logo
# on another host is kept out by img-src.
_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_START_DIGEST}'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Assets(StaticFiles):
    """The files that the package fastapi-offline brings; it is found, but never imported."""

    def __init__(self) -> None:
        super().__init__(packages=[("fastapi_offline", "static")])

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """A file that browsers keep for a day."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = f"public, max-age={DAY}"
        return response


def routes(
    title: str, version: str, operations: Sequence[Operation], description: str = ""
) -> list[BaseRoute]:
    """`/openapi.json`, `/docs` (Swagger UI), `/redoc` and their assets."""
    document = msgspec.json.encode(openapi(title, version, operations, description))
    return [
        _route("/openapi.json", document, JSON),
        _route("/docs", _page(title, _SWAGGER), "text/html"),
        _route("/redoc", _page(title, _REDOC), "text/html"),
        Mount("/docs/assets", Assets(), name="assets"),
    ]


def reader(title: str) -> Callable[[Request], Awaitable[Response]]:
    """Swagger UI for the `openapi.json` that lies beside it."""
    return _endpoint(_page(title, _SWAGGER), "text/html")


def _page(title: str, parts: tuple[str, str]) -> bytes:
    head, body = parts
    return _PAGE.format(title=html.escape(title), head=head, body=body).encode()


def _route(path: str, content: bytes, media_type: str) -> Route:
    return Route(path, _endpoint(content, media_type), name=path.strip("/"))


def _endpoint(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    headers = {
        "cache-control": "no-cache",
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
    }

    async def endpoint(request: Request) -> Response:
        return Response(content, headers=headers, media_type=media_type)

    return endpoint
