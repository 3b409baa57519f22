"""The query route: one row spelled in the URL, answered as the fast route answers it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bentos.web.body import decode_query
from bentos.web.errors import JSON
from bentos.web.hot import Hot, predict, version_headers


def query(hot: Hot[Any, Any]) -> Callable[[Request], Awaitable[Response]]:
    """What answers `GET path?field=...`: the same fields, checks and slot as those of `hot`."""

    async def query(request: Request) -> Response:
        row = decode_query(request.query_params.multi_items(), hot.row)
        answered = await predict(hot.slot, [row], hot.timeout)
        body = msgspec.json.encode(answered.answers[0])
        return Response(body, headers=version_headers(answered), media_type=JSON)

    return query
