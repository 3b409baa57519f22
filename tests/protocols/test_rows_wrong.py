"""Rows that are wrong: the message names what."""

import itertools
import json
from typing import Any

import pytest

from bentos.protocols import Rows
from bentos.tensors import BadInput, Column
from tests.protocols.row_models import MATRIX, MIXED, NUMBERS, OBJECTS, TEXTS, WIDE, refused, rows

IMAGES = rows(Column("image", "float32", (2, -1)))
GOOD = {"n": 1, "x": 0.5, "kind": "k", "ok": True}


@pytest.mark.parametrize(
    ("wrong", "column", "message"),
    [
        ({"n": 1.5}, "n", "row 1, column 'n': 1.5 is no integer"),
        ({"n": "1"}, "n", "'1' is no integer"),
        ({"n": True}, "n", "true is no integer"),
        ({"n": None}, "n", "null is no integer"),
        ({"n": 2**31}, "n", "2147483648 does not fit into int32"),
        ({"x": "0.5"}, "x", "'0.5' is no number"),
        ({"x": 1e39}, "x", "1e\\+39 is too large for float32"),
        ({"x": "NaN"}, "x", "'NaN' is no number"),
        ({"kind": 5}, "kind", "5 is no text"),
        ({"kind": "k" * 1000, "n": []}, "n", "a list of 0 is no integer"),
        ({"ok": 1}, "ok", "1 is neither true nor false"),
        ({"colour": 1}, "colour", "row 1: unknown column 'colour'; there are 'n', 'x', 'kind'"),
    ],
)
def test_a_wrong_value_is_named(wrong: dict[str, Any], column: str, message: str) -> None:
    error = refused(MIXED, [GOOD, GOOD | wrong])
    assert (error.column, error.row) == (column, 1)
    with pytest.raises(BadInput, match=message):
        raise error
    assert "row" not in refused(MIXED, GOOD | wrong).message


def test_a_missing_column_is_named() -> None:
    error = refused(MIXED, [GOOD, {"n": 1, "ok": True}])
    assert error.message.startswith("row 1: missing column 'x'; there are 'n', 'x'")
    assert (error.column, error.row) == ("x", 1)


@pytest.mark.parametrize(
    ("protocol", "body", "row"),
    [
        (MATRIX, [[1, 2, 3], [1, 2]], 1),
        (MATRIX, [[1, 2, 3], [1, 2, "3"]], 1),
        (MATRIX, [1, 2, 3, 4], 0),
        (MATRIX, [[[1, 2, 3]]], 0),
        (MATRIX, {"a": 1}, 0),
        (WIDE, [[1, "x"], [1]], 1),
        (WIDE, [[1, "x"], {"a": 1}], 1),
        (WIDE, "x", 0),
        (TEXTS, ["x", 1], 1),
        (TEXTS, [["x"]], 0),
        (OBJECTS, [{"a": 1}, {"a": {"b": 1}}], 1),
        (OBJECTS, ["a"], 0),
        (NUMBERS, [[1, 2]], 0),
        (NUMBERS, 5, 0),
        (IMAGES, [{"image": [[1], [2]]}, {"image": [[1, 2], [3, 4]]}], 1),
        (IMAGES, {"image": [[1], [2, 3]]}, 0),
        (IMAGES, {"image": [[1], [2], [3]]}, 0),
    ],
)
def test_rows_of_another_form_are_named(protocol: Rows, body: Any, row: int) -> None:
    assert refused(protocol, body).row == row


def test_where_a_tensor_is_wrong_is_said() -> None:
    assert "in [1][0]: 'a' is no number" in refused(IMAGES, {"image": [[1], ["a"]]}).message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1,",
        b"NaN",
        b'{"fixed acidity": NaN}',
        b"\xff\xfe",
        b'{"fixed acidity": 1, "\xff": 2}',
        b'"\\ud800"',
        b"\xef\xbb\xbf{}",
        b'{"fixed acidity":1,"gr\xc3\xb6\xc3\x9fe":2} x',
        b'{"fixed acidity":' + b"1" * 5000 + b',"gr\xc3\xb6\xc3\x9fe":2}',
        b'[{"fixed acidity":1e999,"gr\xc3\xb6\xc3\x9fe":2}]',
        b"[" * 100_000,
        b'{"fixed acidity":' * 100_000,
        b"[]",
        b"null",
    ],
)
def test_hostile_bodies_are_the_callers_fault(body: bytes) -> None:
    for protocol in (NUMBERS, MIXED, MATRIX, IMAGES, WIDE, TEXTS, OBJECTS):
        assert refused(protocol, body).message


def test_what_is_no_json_is_called_so() -> None:
    assert refused(NUMBERS, b"{").message.startswith("the body is no JSON: ")


def test_bodies_cut_or_changed_anywhere_are_read_or_refused() -> None:
    body = json.dumps([GOOD, GOOD]).encode()
    for at, byte in itertools.product(range(len(body)), b'\x00"[{1nt,\xff'):
        for changed in (body[:at], body[:at] + bytes([byte]) + body[at + 1 :]):
            try:
                MIXED.decode(changed)
            except BadInput:
                continue


def test_too_many_rows() -> None:
    protocol = rows(Column("x", "float64"), most=2)
    assert "3 rows; send at most 2" in refused(protocol, [{"x": 1}] * 3).message
    assert "at most 2" in refused(protocol, [{"y": 1}] * 3).message
