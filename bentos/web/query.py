"""The query route: one row spelled in the URL, answered as the fast route answers it."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bentos.web.body import decode_query
from bentos.web.errors import JSON
from bentos.web.hot import Hot, predict, version_headers


def query_route(path: str, hot: Hot[Any, Any]) -> Route:
    """`GET path?field=...`: the same fields, the same checks and the same slot as `hot`."""

    async def query(request: Request) -> Response:
        row = decode_query(request.query_params.multi_items(), hot.row)
        answered = await predict(hot.slot, [row], hot.timeout)
        body = msgspec.json.encode(answered.answers[0])
        return Response(body, headers=version_headers(answered), media_type=JSON)

    return Route(path, query)
