"""The fast route of a model in the Open Inference Protocol, also of a version of it."""

import re

import msgspec
from starlette.types import Receive, Scope

from bentos.models.calls import Codecs, Row, ask
from bentos.protocols import V2, V2Call
from bentos.serving.release import Release
from bentos.serving.slot import Slot
from bentos.tensors import BadInput, Batch
from bentos.web.auth.guard import inside
from bentos.web.body import read
from bentos.web.errors import HTTPError, Problem, Rendered, UnprocessableBody
from bentos.web.headers import first
from bentos.web.hot import Door, headers_of, late, unfit
from bentos.web.whole import Header

PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
LENGTH = b"inference-header-content-length"
BINARY = "application/octet-stream"
LONGEST = re.compile(r"[0-9]{1,12}")


class Infer(Door):
    """Tensors in, tensors out, by the schema of the live version, or of the one that is named."""

    def __init__(self, slot: Slot[Row, Row], codecs: Codecs[V2], timeout: float) -> None:
        super().__init__("models", f"{slot.name}/infer", timeout)
        self.slot = slot
        self._codecs = codecs

    async def answer(self, scope: Scope, receive: Receive) -> tuple[int, list[Header], bytes]:
        """The answers to the tensors of a body."""
        body = await read(scope, receive, self.slot.limits.body_bytes)
        length, version, calls = _length(scope), _version(scope), list[V2Call]()

        def decoded(release: Release) -> Batch:
            calls[:] = [self._codecs.of(self.slot, release).decode(body, length)]
            return calls[0].batch

        answers, release = await ask(self.slot, decoded, self.timeout, version=version)
        try:
            given, header = self._codecs.of(self.slot, release).encode(answers, calls[0])
        except BadInput as error:
            raise unfit(error) from None
        if header is None:
            return 200, headers_of(given, release), given
        headers = headers_of(given, release, BINARY)
        return 200, [*headers, (LENGTH, b"%d" % header)], given

    def late(self) -> HTTPError:
        """What is answered when a call took longer than `timeout` seconds."""
        return late(self.slot, self.timeout)

    def refused(self, error: HTTPError) -> Rendered:
        """An error in the protocol's form."""
        return refusal(error)


def refusal(error: HTTPError) -> Rendered:
    """`{"error": ...}`; what cannot be read is a 400."""
    status = 400 if error.status == 422 else error.status
    return error.rendered(status, msgspec.json.encode({"error": error.sentence}))


def _version(scope: Scope) -> str | None:
    """The version that a call names."""
    found = PATH.fullmatch(inside(scope))
    return found[2] if found else None


def _length(scope: Scope) -> int | None:
    """Where the JSON ends in front of binary tensors, if there are any."""
    text = first(scope, LENGTH).decode("latin-1")
    if not text:
        return None
    if not LONGEST.fullmatch(text):
        message = f"the header {LENGTH.decode()} is {text[:40]!r}, and no number of bytes"
        raise UnprocessableBody(Problem(["header", LENGTH.decode()], message, "wrong_value"))
    return int(text)
