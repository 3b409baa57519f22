"""OpenAPI 3.1 and its two readers, Swagger UI and ReDoc, served without the internet.

Every URL in these pages is relative, so they work alone, under a mount, and behind a proxy
that cuts a prefix. Format: https://spec.openapis.org/oas/v3.1.1.html
"""

import html
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bentos.web.endpoint import Answer, Endpoint
from bentos.web.errors import JSON
from bentos.web.headers import allowed

REFERENCE = "#/components/schemas/{name}"
DAY = 86_400  # seconds


class _Schemas:
    """JSON schemas of all types of a service, made in one call so that names do not clash."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._types = [kind for endpoint in endpoints for kind in endpoint.kinds]
        schemas, components = msgspec.json.schema_components(self._types, ref_template=REFERENCE)
        self._schemas: list[dict[str, Any]] = list(schemas)
        self.components: dict[str, dict[str, Any]] = components

    def of(self, kind: Any) -> dict[str, Any]:
        return self._schemas[self._types.index(kind)]

    def whole(self, struct: type[msgspec.Struct]) -> dict[str, Any]:
        """The struct's own schema, not a reference to it."""
        return self.components[self.of(struct)["$ref"].rpartition("/")[2]]


def openapi(
    title: str, version: str, endpoints: Sequence[Endpoint], description: str = ""
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `endpoints`; its server is wherever it was read from.

    Of two endpoints with one path and method the first is described, as the first route answers.
    """
    shown = [endpoint for endpoint in endpoints if endpoint.include_in_schema]
    schemas = _Schemas(shown)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in shown:
        described = _operation(endpoint, schemas)
        paths.setdefault(endpoint.template, {}).setdefault(endpoint.method.lower(), described)
    components: dict[str, Any] = {"schemas": schemas.components}
    if any(endpoint.bearer for endpoint in shown):
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.1",
        "info": {"title": title, "version": version, "description": description},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": components,
    }


def _operation(endpoint: Endpoint, schemas: _Schemas) -> dict[str, Any]:
    name = re.sub(r"\W+", "_", f"{endpoint.method.lower()}{endpoint.template}").strip("_")
    described: dict[str, Any] = {
        "operationId": name,
        "summary": endpoint.summary,
        "description": endpoint.description,
        "parameters": _parameters(endpoint, schemas),
        "responses": {
            str(status): _response(answer, schemas)
            for status, answer in sorted(endpoint.all_answers.items())
        },
    }
    if endpoint.body is not None:
        examples = {name: {"value": value} for name, value in endpoint.examples.items()}
        content = {"schema": schemas.of(endpoint.body), "examples": examples}
        described["requestBody"] = {"required": True, "content": {JSON: content}}
    if endpoint.bearer:
        described["security"] = [{"bearer": []}]
    return described


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", endpoint.template)
    ]
    if endpoint.query is None:
        return described
    struct = schemas.whole(endpoint.query)
    example: dict[str, Any] = next(iter(endpoint.examples.values()), {})
    for name, schema in struct["properties"].items():
        required = name in struct.get("required", [])
        parameter = {"name": name, "in": "query", "required": required, "schema": schema}
        described.append(parameter | ({"example": example[name]} if name in example else {}))
    return described


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
# Both readers write <style> elements. ReDoc searches in a worker made from a blob, and its logo
# on another host is kept out by img-src.
_POLICY = (
    f"default-src 'none'; script-src 'self' {allowed(_START_SWAGGER)}; "
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
    title: str, version: str, endpoints: Sequence[Endpoint], description: str = ""
) -> list[BaseRoute]:
    """`/openapi.json`, `/docs` (Swagger UI), `/redoc` and their assets."""
    document = msgspec.json.encode(openapi(title, version, endpoints, description))
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
