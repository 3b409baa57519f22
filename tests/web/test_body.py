import json
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import anyio
import httpx
import msgspec
import pytest
from msgspec import Meta
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from bentos.web.body import Decoder, decode_query, read
from bentos.web.errors import BodyTooLarge, HTTPError, Problem, UnprocessableBody
from tests.web.serving import serving


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    presion: float
    temperatura: float
    volumen: float


class Matrix(msgspec.Struct, forbid_unknown_fields=True):
    data: list[list[float]]
    model_id: str | None = None
    extra: dict[str, float] = {}


class Song(msgspec.Struct, forbid_unknown_fields=True):
    tempo: float
    key: Annotated[int, Meta(ge=0, le=11)]
    explicit: bool | Annotated[int, Meta(ge=0, le=1)]
    artists: str | None = None


Readings = Reading | Annotated[list[Reading], Meta(max_length=5)]
readings: Decoder[Reading | list[Reading]] = Decoder(Readings)
matrix: Decoder[Matrix] = Decoder(Matrix)
song: Decoder[Song] = Decoder(Song)
anything: Decoder[Any] = Decoder(Any)

GOOD = b'{"presion": 1.2, "temperatura": 25.5, "volumen": 100}'
BRACKETS = 100_000


def short(value: object) -> str:
    return type(value).__name__ if isinstance(value, Decoder) else repr(value)[:40]


def refused(decoder: Decoder[Any], body: bytes) -> Problem:
    start = time.perf_counter()
    with pytest.raises(UnprocessableBody) as caught:
        decoder(body)
    assert time.perf_counter() - start < 2
    status, _, answer = caught.value.render()
    assert status == 422
    assert len(answer) < 1000, "an error must not echo the body"
    (problem,) = caught.value.detail
    assert json.loads(answer) == {"detail": [msgspec.to_builtins(problem)]}
    assert problem.loc[0] == "body"
    return problem


def with_presion(value: str | bytes) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return b'{"presion": ' + value + b', "temperatura": 25.5, "volumen": 100}'


def test_good_bodies() -> None:
    assert readings(GOOD) == Reading(1.2, 25.5, 100.0)
    assert readings(b" \n[" + GOOD + b", " + GOOD + b"]\t") == [Reading(1.2, 25.5, 100.0)] * 2
    assert readings(b"[]") == []
    assert matrix(b'{"data": [[1, 2.5]]}').data == [[1.0, 2.5]]


@pytest.mark.parametrize(
    ("decoder", "body", "loc", "msg"),
    [
        # Fields
        (readings, b"{}", ["presion"], "Field required"),
        (readings, b'{"presion": 1, "temperatura": 2}', ["volumen"], "Field required"),
        (
            readings,
            b"[" + GOOD + b', {"presion": 1, "temperatura": 2}]',
            [1, "volumen"],
            "required",
        ),
        (readings, b'{"presion": 1, "extra": 2}', ["extra"], "Unknown field"),
        (readings, b"[" + GOOD + b', {"extra": [{}]}]', [1, "extra"], "Unknown field"),
        (readings, b'{"Presion": 1}', ["Presion"], "Unknown field"),
        (readings, b'{"a.b[3]`": 1}', ["a.b[3]`"], "Unknown field"),
        (readings, b'{"": 1}', [""], "Unknown field"),
        (readings, b'{"a\\nb\\u0000": 1}', ["a\nb\0"], "Unknown field"),
        (readings, b'{"' + b"z" * 10**6 + b'": 1}', ["z" * 200 + "..."], "Unknown field"),
        # Types
        (readings, with_presion('"1.2"'), ["presion"], "Expected `float`, got `str`"),
        (readings, with_presion('"' + "x" * 10**6 + '"'), ["presion"], "got `str`"),
        (readings, with_presion("true"), ["presion"], "Expected `float`, got `bool`"),
        (readings, with_presion("null"), ["presion"], "Expected `float`, got `null`"),
        (readings, with_presion("[1.2]"), ["presion"], "Expected `float`, got `array`"),
        (readings, with_presion("{}"), ["presion"], "Expected `float`, got `object`"),
        (readings, b"[" + GOOD + b", 3]", [1], "Expected `object`, got `int`"),
        (readings, b"[null]", [0], "Expected `object`, got `null`"),
        (readings, b"[[" + GOOD + b"]]", [0], "Expected `object`, got `array`"),
        (readings, b"null", [], "Expected `object | array`, got `null`"),
        (readings, b"1", [], "Expected `object | array`, got `int`"),
        (readings, b'"x"', [], "Expected `object | array`, got `str`"),
        (readings, b"[" + b",".join([GOOD] * 6) + b"]", [], "length <= 5"),
        (matrix, b'{"data": [[1, 2], [3, "4"]]}', ["data", 1, 1], "Expected `float`, got `str`"),
        (matrix, b'{"data": [1, 2]}', ["data", 0], "Expected `array`, got `int`"),
        (matrix, b'{"data": [], "model_id": 7}', ["model_id"], "Expected `str | null`"),
        (matrix, b'{"data": [], "extra": {"a": "b"}}', ["extra", "[...]"], "Expected `float`"),
        (song, b'{"key": 12}', ["key"], "Expected `int` <= 11"),
        (song, b'{"key": 1.5}', ["key"], "Expected `int`, got `float`"),
        (song, b'{"key": ' + b"9" * 10**6 + b"}", ["key"], "out of range"),
        (song, b'{"explicit": 2}', ["explicit"], "Expected `int` <= 1"),
        # Numbers that are none
        (readings, with_presion("NaN"), ["presion"], "Must be a finite number, got NaN"),
        (readings, with_presion("nan"), ["presion"], "Must be a finite number, got nan"),
        (readings, with_presion("Infinity"), ["presion"], "finite number, got Infinity"),
        (readings, with_presion("-Infinity"), ["presion"], "finite number, got -Infinity"),
        (readings, with_presion("-inf"), ["presion"], "finite number, got -inf"),
        (readings, with_presion("1e999"), ["presion"], "finite number; this one is out of range"),
        (readings, with_presion("-1e999"), ["presion"], "finite number; this one is out of range"),
        (readings, with_presion("9" * 10**6), ["presion"], "out of range"),
        (readings, b"[" + GOOD + b"," + with_presion("NaN") + b"]", [1, "presion"], "finite"),
        (readings, b"NaN", [], "Expected `object | array`, got NaN"),
        (matrix, b'{"data": [[1, 2], [3, NaN]]}', ["data", 1, 1], "finite number, got NaN"),
        (matrix, b'{"data": NaN}', ["data"], "Expected `array`, got NaN"),
        (matrix, b'{"data": [], "model_id": NaN}', ["model_id"], "Expected `str | null`, got NaN"),
        (song, b'{"explicit": NaN}', ["explicit"], "finite number, got NaN"),
        (matrix, b'{"data": [], "model_id": "NaN", x}', [], "keys must be strings"),
        (anything, b'{"x": NaN}', [], "JSON has no NaN (byte 6)"),
        # No JSON
        (readings, b"", [], "The body is empty"),
        (readings, b" \r\n\t", [], "The body is empty"),
        (readings, b"presion=1.2&volumen=3", [], "malformed"),
        (readings, b"<xml/>", [], "malformed"),
        (readings, b"{'presion': 1}", [], "keys must be strings"),
        (readings, b'{"presion": 1,}', [], "trailing comma"),
        (readings, b'{"presion": 1 "volumen": 2}', [], "expected ',' or '}'"),
        (readings, b'{"presion": 1', [], "ends too early"),
        (readings, b'{"presion', [], "ends too early"),
        (readings, with_presion("01"), [], "invalid number"),
        (readings, with_presion("+1"), [], "invalid character"),
        (readings, with_presion("0x10"), [], "malformed"),
        (readings, with_presion("1,5"), [], "keys must be strings"),
        (readings, with_presion("None"), [], "invalid character"),
        (readings, GOOD + b"x", [], "trailing characters"),
        (readings, GOOD + GOOD, [], "trailing characters"),
        (readings, b"\xef\xbb\xbf" + GOOD, [], "malformed"),
        (readings, GOOD.decode().encode("utf-16"), [], "malformed"),
        (readings, b"\0" + GOOD, [], "malformed"),
        (readings, b"\x80\x04\x95.", [], "malformed"),
        (readings, b'{"\xff": 1}', [], "not UTF-8: 0xff (byte 2)"),
        (matrix, b'{"model_id": "a\xff"}', [], "not UTF-8: 0xff (byte 15)"),
        (matrix, b'{"model_id": "\xed\xa0\x80"}', [], "not UTF-8"),
        (matrix, b'{"model_id": "\\ud800"}', [], "ends too early"),
        (matrix, b'{"model_id": "\\ud800", "data": []}', [], "surrogate"),
        (matrix, b'{"model_id": "\\udc00", "data": []}', [], "surrogate"),
        (matrix, b'{"model_id": "a\nb"}', [], "invalid character"),
        # Depth
        (readings, b"[" * BRACKETS, [0], "Expected `object`, got `array`"),
        (readings, b'{"x":' * BRACKETS, ["x"], "Unknown field"),
        (readings, with_presion("[" * BRACKETS), ["presion"], "got `array`"),
        (matrix, b'{"data":' + b"[" * BRACKETS, ["data", 0, 0], "Expected `float`, got `array`"),
        (anything, b"[" * BRACKETS, [], "nested too deeply"),
        (anything, b"[" * BRACKETS + b"]" * BRACKETS, [], "nested too deeply"),
        (anything, b'{"x":' * BRACKETS, [], "nested too deeply"),
        (anything, b"[" * 500 + b"NaN", [], "JSON has no NaN"),
    ],
    ids=short,
)
def test_bad_body(decoder: Decoder[Any], body: bytes, loc: list[Any], msg: str) -> None:
    problem = refused(decoder, body)
    assert problem.loc == ["body", *loc]
    assert msg in problem.msg


def test_a_type_for_each_kind_of_problem() -> None:
    assert refused(readings, b"{}").type == "missing"
    assert refused(readings, b'{"x": 1}').type == "extra_forbidden"
    assert refused(readings, with_presion("null")).type == "wrong_type"
    assert refused(readings, with_presion("NaN")).type == "finite_number"
    assert refused(readings, with_presion("1e999")).type == "finite_number"
    assert refused(song, b'{"key": 12}').type == "wrong_value"
    assert refused(readings, b"{").type == "json_invalid"


def test_what_json_dumps_of_nan_writes_is_named() -> None:
    rows = [{"presion": 1.0, "temperatura": 2.0, "volumen": 3.0} for _ in range(4)]
    rows[3]["temperatura"] = float("nan")
    assert refused(readings, json.dumps(rows).encode()).loc == ["body", 3, "temperatura"]


SONG = {"tempo": "120.5", "key": "3", "explicit": "true", "artists": "Camilo"}


@pytest.mark.parametrize(
    ("explicit", "number"), [("true", 1), ("false", 0), ("1", 1), ("0", 0), ("True", 1)]
)
def test_good_query(explicit: str, number: int) -> None:
    value = decode_query({**SONG, "explicit": explicit}.items(), Song)
    assert value == Song(120.5, 3, bool(number), "Camilo")
    assert float(value.explicit) == number


def test_a_text_in_a_query_stays_as_it_is() -> None:
    for text in ["null", "nan", "1", "", "ñandú & co", "x" * 10_000]:
        assert decode_query({**SONG, "artists": text}.items(), Song).artists == text


@pytest.mark.parametrize(
    ("name", "text", "msg"),
    [
        ("tempo", "", "Expected `float`, got ''"),
        ("tempo", " ", "Expected `float`, got ' '"),
        ("tempo", "abc", "Expected `float`, got 'abc'"),
        ("tempo", "1,5", "Expected `float`, got '1,5'"),
        ("tempo", "true", "Expected `float`, got 'true'"),
        ("tempo", "null", "Expected `float`, got 'null'"),
        ("tempo", "0x10", "Expected `float`"),
        ("tempo", "1_0", "Expected `float`"),
        ("tempo", "\u0661", "Expected `float`"),
        ("tempo", "x" * 10**6, "Expected `float`, got 'xxx"),
        ("tempo", "nan", "Must be a finite number, got nan"),
        ("tempo", "-inf", "Must be a finite number, got -inf"),
        ("tempo", "Infinity", "Must be a finite number, got inf"),
        ("tempo", "1e999", "Must be a finite number"),
        ("tempo", "9" * 1000, "Must be a finite number"),
        ("key", "1.5", "Expected `int`, got '1.5'"),
        ("key", "12", "Expected `int` <= 11"),
        ("explicit", "yes", "got 'yes'"),
        ("explicit", "2", "Expected `int` <= 1"),
        ("explicit", "", "got ''"),
        ("Tempo", "1", "Unknown field"),
        ("z" * 10**6, "1", "Unknown field"),
    ],
    ids=short,
)
def test_bad_query(name: str, text: str, msg: str) -> None:
    with pytest.raises(UnprocessableBody) as caught:
        decode_query({**SONG, name: text}.items(), Song)
    (problem,) = caught.value.detail
    assert problem.loc == ["query", name if len(name) < 200 else name[:200] + "..."]
    assert msg in problem.msg
    assert len(caught.value.render()[2]) < 1000


def test_bytes_that_are_no_text_in_a_query() -> None:
    pairs = QueryParams(b"tempo=%ED%A0%80%FF&key=3&explicit=1").multi_items()
    with pytest.raises(UnprocessableBody, match="tempo"):
        decode_query(pairs, Song)


@pytest.mark.parametrize("name", ["tempo", "key", "explicit"])
def test_a_parameter_missing_or_given_twice(name: str) -> None:
    with pytest.raises(UnprocessableBody) as caught:
        decode_query([pair for pair in SONG.items() if pair[0] != name], Song)
    assert caught.value.detail == [Problem(["query", name], "Field required", "missing")]
    with pytest.raises(UnprocessableBody, match="more than once") as caught:
        decode_query([*SONG.items(), (name, SONG[name])], Song)
    assert caught.value.detail[0].loc == ["query", name]


def feed(*messages: Message) -> Receive:
    left = list(messages)

    async def receive() -> Message:
        return left.pop(0)

    return receive


def part(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "headers": list(headers)}


def test_read_joins_the_parts() -> None:
    receive = feed(part(b"ab"), part(b""), {"type": "http.request", "body": b"c"})
    assert anyio.run(read, scope(), receive, 3) == b"abc"
    assert anyio.run(read, scope(), feed({"type": "http.request"}), 0) == b""


def test_read_stops_at_the_part_that_is_too_much() -> None:
    with pytest.raises(BodyTooLarge):
        anyio.run(read, scope(), feed(part(b"ab"), part(b"cd")), 3)


@pytest.mark.parametrize("length", [b"4", b"999999999999"])
def test_read_believes_a_content_length_that_is_too_much(length: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        anyio.run(read, scope((b"host", b"x"), (b"content-length", length)), feed(), 3)


@pytest.mark.parametrize("length", [b"", b"-1", b"x", b"\xb2", b"9" * 10_000])
def test_read_counts_where_the_content_length_makes_no_sense(length: bytes) -> None:
    headers = scope((b"content-length", length))
    assert anyio.run(read, headers, feed(part(b"abc", more=False)), 3) == b"abc"


def test_read_tells_that_the_client_left() -> None:
    with pytest.raises(ClientDisconnect):
        anyio.run(read, scope(), feed(part(b"a"), {"type": "http.disconnect"}), 3)


async def echo_size(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        size = len(await read(scope, receive, 1000))
        status, headers, body = HTTPError(200, str(size)).render()
    except HTTPError as error:
        status, headers, body = error.render()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_real_server_refuses_a_large_upload_and_goes_on(
    http: Literal["h11", "httptools"],
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    with serving(echo_size, http) as url, httpx.Client() as client:
        for content in (b"x" * 10_000_000, chunks()):
            answer = client.post(url, content=content)
            assert answer.status_code == 413
            assert answer.json()["detail"].startswith("The body is larger than 1,000 bytes")
        assert client.post(url, content=b"x" * 1000).json() == {"detail": "1000"}
