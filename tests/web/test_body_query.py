import pytest
from starlette.datastructures import QueryParams

from bentos.web.body import decode_query
from bentos.web.errors import Problem, UnprocessableBody
from tests.web.bodies import Song, short

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
