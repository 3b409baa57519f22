"""Requests of the Open Inference Protocol that are wrong."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from bentos.tensors import BadInput
from tests.protocols.tensors import (
    MIXED,
    ONE,
    REST,
    TEXT,
    XS,
    N,
    S,
    X,
    binary,
    refused,
    tensor,
    v2,
)


def changed(at: int = 0, **what: Any) -> dict[str, Any]:
    inputs = [dict(each) for each in REST["inputs"]]
    inputs[at] |= what
    return {"inputs": inputs}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "`inputs`"),
        ([], "this protocol"),
        ({"inputs": []}, "length >= 1"),
        ({"inputs": [1]}, "this protocol"),
        ({"inputs": [{"name": "n"}]}, "`shape`"),
        ({"inputs": [ONE, X]}, "missing tensor 'größe'; there are 'n', 'x y'"),
        ({"inputs": [ONE, ONE, X, TEXT]}, "twice"),
        ({"inputs": [ONE, X, TEXT, ONE | {"name": "z"}]}, "unknown tensor 'z'"),
        (changed(datatype="INT33"), "'INT33' is none of BOOL"),
        (changed(datatype="BF16"), "'BF16' is none of BOOL"),
        (changed(datatype="FP32", data=[1, "a"]), "row 1, column 'n': 'a' is no number"),
        (changed(data=[1, "a"]), "row 1, column 'n': 'a' is no integer"),
        (changed(data=[1, None]), "row 1, column 'n'"),
        (changed(data=[1, 2**31]), "2147483648 does not fit into int32"),
        (changed(data=[1]), "do not fill the shape [2]"),
        (changed(data=[1, 2, 3]), "do not fill the shape [2]"),
        (changed(data=[[1], [2]]), "neither flat nor in the shape"),
        (changed(data=5), "neither flat nor"),
        (changed(data=None), "neither data nor binary data"),
        (changed(data=[[[[[]]]]]), "neither flat nor"),
        (changed(data=[1, {"a": 1}]), "an object is no integer"),
        (changed(shape=[3]), "do not fill"),
        (changed(shape=[-2]), "`int` >= 0"),
        (changed(shape=[1.5]), "Expected `int`"),
        (changed(shape=[]), "0 dimensions"),
        (changed(shape=[0], data=[]), "no rows"),
        (changed(shape=[2**31]), "at most 100"),
        (changed(shape=[2**70]), "at most 100"),
        (changed(shape=[1, 2**31]), "do not fill"),
        (changed(shape=[2, 2**63]), "do not fill"),
        (changed(shape=[1, 0, 2**62], data=[]), "3 dimensions"),
        (changed(shape=[1] * 100), "100 dimensions"),
        (changed(shape=[2, 2], data=[1, 2, 3, 4]), "its shape is [2, 2], not [-1]"),
        (changed(shape=[1], data=[1]), "not the same number of rows"),
        (changed(2, datatype="INT32", data=[1, 2]), "its datatype is INT32, not BYTES"),
        (changed(2, data=["a", 1]), "1 is no text"),
        (changed(parameters={"content_type": "pickle"}), "'pickle' is none of np"),
        (changed(parameters={"shared_memory_region": "r"}), "shared memory is not served"),
        (changed(parameters={"binary_data_size": 8}), "data and binary data too"),
        (changed(parameters=5), "Expected `object | null`"),
        (REST | {"outputs": [{"name": "z"}]}, "unknown output 'z'; there are 'label', 'p'"),
        (REST | {"outputs": [{"name": "p", "parameters": {"classification": 2}}]}, "not served"),
        (REST | {"outputs": [{"name": "p", "parameters": {"binary_data": 2}}]}, "neither true"),
        (REST | {"parameters": {"binary_data_output": "yes"}}, "neither true nor false"),
        (REST | {"parameters": {"t": "hot"}}, "param 't'"),
        (REST | {"id": 5}, "$.id"),
    ],
)
def test_wrong_requests_are_named(body: dict[str, Any], message: str) -> None:
    assert message in refused(MIXED, body).message


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([(N[0] | {"shape": [1]}, N[1]), XS, S], "8 bytes of data, but 1 elements of INT32 are 4"),
        ([(N[0] | {"shape": [1, 2**31]}, N[1]), XS, S], "are 8589934592"),
        ([(N[0] | {"datatype": "INT64"}, N[1]), XS, S], "are 16"),
        ([N, XS, (S[0], S[1][:-1])], "not 2 elements with their lengths"),
        ([N, XS, (S[0], S[1] + b"x")], "not 2 elements with their lengths"),
        ([N, XS, (S[0], struct.pack("<II", 2**32 - 1, 0))], "not 2 elements"),
        ([N, XS, (S[0], b"")], "0 bytes of data are not 2 elements"),
        ([N, XS, (S[0] | {"shape": [1, 2**31]}, S[1])], "not 2147483648 elements"),
        ([N, XS, (S[0], struct.pack("<I", 1) + b"\xff" + struct.pack("<I", 0))], "no text in"),
        ([(N[0] | {"datatype": "BOOL"}, b"\x01\x02"), XS, S], "neither 0 nor 1"),
        ([(N[0] | {"parameters": {"binary_data_size": -1}}, N[1]), XS, S], "is -1"),
        ([(N[0] | {"parameters": {"binary_data_size": True}}, N[1]), XS, S], "is true"),
        ([(N[0] | {"parameters": {"binary_data_size": 2**63}}, N[1]), XS, S], "are left"),
        ([tensor("x y", np.array([0.5, np.nan]), "FP64"), N, S], "row 1, column 'x y': nan is mi"),
    ],
)
def test_binary_data_that_lie_are_named(
    tensors: list[tuple[dict[str, Any], bytes]], message: str
) -> None:
    assert message in refused(MIXED, *binary(*tensors)).message


def test_lengths_that_lie_are_named() -> None:
    body, length = binary(N, XS, S)
    assert v2(MIXED).decode(body, length).batch.size == 2
    assert "belong to no tensor" in refused(MIXED, body + b"x", length).message
    for wrong in (0, -1, len(body) + 1, 2**63, length - 1, length + 1):
        assert refused(MIXED, body, wrong).message
    assert refused(MIXED, body, None).message.startswith("the body is no JSON")
    assert "are left" in refused(MIXED, body[:length], None).message
    for cut in range(len(body)):
        assert refused(MIXED, body[:cut], length).message


def test_hostile_json_is_the_callers_fault() -> None:
    for body in (b"", b"{", b"\xff", b"[" * 100_000, b'{"inputs":' * 100_000, b"NaN"):
        assert refused(MIXED, body).message
    deep = json.dumps(changed(data="@")).replace('"@"', "[1," + "[" * 100_000).encode()
    assert refused(MIXED, deep).message
    deep = json.dumps(changed(data="@")).replace('"@"', f"[1,{'[' * 9999}{']' * 9999}]").encode()
    assert refused(MIXED, deep).message


def test_bodies_changed_anywhere_are_read_or_refused() -> None:
    body, length = binary(N, XS, S)
    for at in range(len(body)):
        for byte in b'\x00"[{19,\xff':
            try:
                v2(MIXED).decode(body[:at] + bytes([byte]) + body[at + 1 :], length)
            except BadInput:
                continue
