"""The native door: what BentoML's own clients call, into the same slot as the fast route.

The slot batches the rows of both doors together. BentoML's `batchable=True` would put its own
dispatcher before it, which sheds calls by their age.
"""

from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar, cast

import bentoml
import msgspec
import numpy as np
from bentoml.exceptions import BentoMLException
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from bentos.web.app import App
from bentos.web.body import Decoder, read
from bentos.web.errors import JSON, HTTPError, Problem, UnprocessableBody
from bentos.web.hot import Hot, predict, version_headers
from bentos.web.request_ids import noted

Row = TypeVar("Row", bound=msgspec.Struct)
Answer = TypeVar("Answer", bound=msgspec.Struct)

MATRIX = NDArray[np.float64]
LISTS = list[list[float | bool | str | None]]


def call(kind: Any = MATRIX) -> type[bentoml.IODescriptor]:
    """What `@bentoml.api(input_spec=...)` tells clients of a call's rows.

    They are a matrix, or LISTS that also hold text. The call itself comes as it is, for Native.
    """

    class Call(bentoml.IODescriptor):  # type: ignore[misc]
        rows: kind

        @classmethod
        async def from_http_request(cls, request: Request, serde: object) -> Any:
            return cls.model_construct(rows=request)

    return Call


class Native(Generic[Row, Answer]):
    """Answers calls of `{"rows": [[1.2, 25.5, 100.0], ...]}`, each row the fields of a struct.

    They go the way of the first fast route of an app, checked as strictly.
    """

    def __init__(self, app: App) -> None:
        hot: Hot[Row, Answer] = next(door for door in app.hot.values() if isinstance(door, Hot))
        self._guard = app.guard
        self._hot = hot
        values: Any = tuple[tuple(field.type for field in msgspec.structs.fields(hot.row))]  # type: ignore[misc]
        rows = Annotated[list[values], msgspec.Meta(max_length=hot.slot.limits.rows_per_call)]
        self._decode: Decoder[Any] = Decoder(
            msgspec.defstruct("Call", [("rows", rows)], forbid_unknown_fields=True)
        )

    async def read(self, request: Request) -> list[Row]:
        """The rows of a call; raises BentoMLException with a 4xx that names what is wrong.

        BentoML routes its own APIs beside the service's app, so the guard is asked here as well.
        """
        noted(request.scope)
        try:
            await self._guard.admit(request.scope)
        except HTTPError as error:
            raise _refused(error.status, str(error.detail)) from None
        media_type = request.headers.get("content-type", JSON).partition(";")[0].strip()
        if media_type != JSON:
            raise BentoMLException(
                f"The body is {media_type}; send {JSON}",
                error_code=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            )
        try:
            body = await read(request.scope, request.receive, self._hot.slot.limits.body_bytes)
            return [self._hot.row(*values) for values in self._decode(body).rows]
        except UnprocessableBody as error:
            raise _refused(error.status, self._sentence(error.detail[0])) from None
        except HTTPError as error:
            raise _refused(error.status, str(error.detail)) from None

    async def answer(self, request: Request, context: bentoml.Context) -> NDArray[Any]:
        """The answers to a call: an array (rows, fields of an answer)."""
        rows = await self.read(request)
        try:
            answered = await predict(self._hot.slot, rows, self._hot.timeout)
        except HTTPError as error:
            context.response.status_code = error.status
            refused = Response(error.body(), headers=error.headers, media_type=JSON)
            return cast("NDArray[Any]", refused)  # BentoML sends a Response as it is
        context.response.headers.update(version_headers(answered))
        return np.array([msgspec.structs.astuple(answer) for answer in answered.answers])

    def _sentence(self, problem: Problem) -> str:
        columns = self._hot.row.__struct_fields__
        match problem.loc:
            case ["body", "rows", int(row), int(column)]:
                return f"rows[{row}][{column}], {columns[column]}: {problem.msg}"
            case ["body", "rows", int(row)]:
                return f"rows[{row}]: {problem.msg}; a row is [{', '.join(columns)}]"
            case _:
                return f"{'.'.join(map(str, problem.loc))}: {problem.msg}"


def _refused(status: int, message: str) -> BentoMLException:
    return BentoMLException(message, error_code=HTTPStatus(status))
