"""From the bytes of a request to a checked value, or to a 422 that names the field."""

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any, Generic, Literal, TypeVar

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from bentos.web.errors import (
    JSON,
    BodyTooLarge,
    Problem,
    UnprocessableBody,
    UnsupportedBody,
    clip,
)
from bentos.web.headers import first
from bentos.web.packing import unpacked

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)
Loc = list[str | int]

# msgspec tells where only within its message: "... - at `$.data[0][1]`", "... (byte 12)".
_AT = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\[(?P<index>\d+)\]|\.?(?P<name>[^.\[\]]+|\[\.\.\.\])")
_FIELD = re.compile(
    r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*)`\Z", re.S
)
_BYTE = re.compile(r"\(byte (\d+)\)\Z")
_MISTYPED = re.compile(r"Expected `(?P<expected>.*)`, got `(?:str|bool)`\Z")
# What Python, JavaScript and R write for numbers that JSON does not have.
_LITERAL = re.compile(rb"[-+]?(?:nan|inf(?:inity)?)\b", re.I)


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body of an ASGI request; raises BodyTooLarge as soon as it must exceed `limit` bytes.

    A gzip is unpacked; UnsupportedBody is raised for what is packed otherwise. Raises Starlette's
    ClientDisconnect when the client goes away first.
    """
    arriving = unpacked(scope, receive, limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await arriving()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def read_json(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The body of a call that changes something, as `read` gives it.

    Raises UnsupportedBody unless the call says that it is JSON: a page of another origin may send
    text or a form without asking, but not JSON.
    """
    media_type = first(scope, b"content-type").partition(b";")[0].strip().lower()
    if media_type != JSON.encode():
        given = clip(media_type.decode("latin-1")) or "of no type"
        raise UnsupportedBody(f"The body is {given}: send {JSON}, and say so in content-type")
    return await read(scope, receive, limit)


class Decoder(Generic[T]):
    """Decodes JSON bytes to `target`, any type msgspec knows, and checks them on the way.

    Let structs forbid unknown fields, and bound lists and integers with `msgspec.Meta`.
    """

    def __init__(self, target: Any) -> None:
        self._decode = msgspec.json.Decoder(target).decode

    def __call__(self, body: bytes) -> T:
        """Raise UnprocessableBody naming the first field that is wrong."""
        try:
            return self._decode(body)  # type: ignore[no-any-return]
        except msgspec.ValidationError as error:
            raise UnprocessableBody(_problem(error, "body")) from None
        except msgspec.DecodeError as error:
            raise UnprocessableBody(self._malformed(body, str(error))) from None
        except UnicodeDecodeError:
            raise UnprocessableBody(_not_utf8(body)) from None
        except RecursionError:
            problem = Problem(["body"], "JSON is nested too deeply", "json_invalid")
            raise UnprocessableBody(problem) from None

    def _malformed(self, body: bytes, message: str) -> Problem:
        at = _BYTE.search(message)
        if at is not None:
            position = int(at[1])
            literal = _LITERAL.search(body, max(0, position - 4), position + 9)
            if literal is not None:
                return self._not_finite(body, literal)
        elif not body.strip():
            message = "The body is empty; send JSON"
        else:
            message = "JSON is malformed: it ends too early, or amid a \\u escape"
        return Problem(["body"], clip(message), "json_invalid")

    def _not_finite(self, body: bytes, literal: re.Match[bytes]) -> Problem:
        """Name the field of `literal`: put `true` in its place, and msgspec tells where."""
        got = literal[0].decode()
        for stand_in in (b"true", b'""'):
            try:
                self._decode(body[: literal.start()] + stand_in)
            except msgspec.ValidationError as error:
                return _not_finite(_problem(error, "body"), got)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
        return Problem(["body"], f"JSON has no {got} (byte {literal.start()})", "json_invalid")


def decode_query(
    pairs: Iterable[tuple[str, str]], target: type[S], where: Literal["query", "body"] = "query"
) -> S:
    """The struct of query parameters; numbers and booleans of `target` are read from their texts.

    The fields of a form are read so from the `body`. Raises UnprocessableBody naming the field.
    """
    texts: dict[str, str] = {}
    for name, text in pairs:
        if name in texts:
            raise UnprocessableBody(
                Problem([where, clip(name)], "Given more than once; give it once", "duplicate")
            )
        texts[name] = text
    try:
        value = msgspec.convert(texts, target, strict=False)
    except msgspec.ValidationError as error:
        raise UnprocessableBody(_with_text(_problem(error, where), texts)) from None
    for name in value.__struct_fields__:
        number = getattr(value, name)
        if isinstance(number, float) and not isfinite(number):
            raise UnprocessableBody(_not_finite(Problem([where, name], "", ""), str(number)))
    return value


def _problem(error: msgspec.ValidationError, where: str) -> Problem:
    """`error` as a Problem within `where` ("body" or "query")."""
    message = str(error)
    loc: Loc = [where]
    at = _AT.search(message)
    if at is not None:
        loc += _steps(at["path"])
        message = message[: at.start()]
    field = _FIELD.match(message)
    if field is not None:
        loc.append(clip(field["name"]))
        missing = field["what"] == "missing required"
        return Problem(
            loc,
            "Field required" if missing else "Unknown field; leave it out",
            "missing" if missing else "extra_forbidden",
        )
    if message == "Number out of range":
        return Problem(loc, "Must be a finite number; this one is out of range", "finite_number")
    return Problem(loc, clip(message), "wrong_type" if ", got `" in message else "wrong_value")


def _steps(path: str) -> Loc:
    return [
        int(step["index"]) if step["index"] else clip(step["name"])
        for step in _STEP.finditer(path)
    ]


def _not_finite(problem: Problem, got: str) -> Problem:
    expected = _MISTYPED.match(problem.msg)
    if expected is not None and not re.search("int|float", expected["expected"]):
        return Problem(problem.loc, f"Expected `{expected['expected']}`, got {got}", "wrong_type")
    return Problem(problem.loc, f"Must be a finite number, got {got}", "finite_number")


def _with_text(problem: Problem, texts: dict[str, str]) -> Problem:
    """In a query every value is text, so "got `str`" does not help: say which text."""
    text = texts.get(str(problem.loc[-1]))
    mistyped = _MISTYPED.match(problem.msg)
    if text is None or mistyped is None:
        return problem
    message = f"Expected `{mistyped['expected']}`, got {clip(text)!r}"
    return Problem(problem.loc, message, problem.type)


def _not_utf8(body: bytes) -> Problem:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: 0x{body[error.start]:02x} (byte {error.start})"
    else:
        message = "The body is not UTF-8"
    return Problem(["body"], message, "json_invalid")
