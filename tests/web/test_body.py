import json
import time
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from bentos.web.body import Decoder
from bentos.web.errors import Problem, UnprocessableBody
from tests.web.bodies import Matrix, Reading, Song, short

Readings = Reading | Annotated[list[Reading], Meta(max_length=5)]
readings: Decoder[Reading | list[Reading]] = Decoder(Readings)
matrix: Decoder[Matrix] = Decoder(Matrix)
song: Decoder[Song] = Decoder(Song)
anything: Decoder[Any] = Decoder(Any)

GOOD = b'{"presion": 1.2, "temperatura": 25.5, "volumen": 100}'
BRACKETS = 100_000


def refused(decoder: Decoder[Any], body: bytes) -> Problem:
    start = time.thread_time()
    with pytest.raises(UnprocessableBody) as caught:
        decoder(body)
    assert time.thread_time() - start < 2
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
