"""Rows as views: nothing lost, nothing changed on the way."""

import json

import orjson
import pytest

from console.search.rendering import member_text, render_address, render_changes, render_raw
from schemas.errors import Broken


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param('{"details":{"a":1}}', '{"a":1}', id="only member"),
        pytest.param(' { "x" : [ "}" ] , "details" : {"f":12.40} } ', '{"f":12.40}', id="spaces"),
        pytest.param('{"a":{"details":1},"details":{"b":2}}', '{"b":2}', id="nested like"),
        pytest.param('{"\\u0064etails":{"b":2}}', '{"b":2}', id="escaped name"),
        pytest.param('{"details":null}', None, id="null"),
        pytest.param("{}", None, id="empty"),
        pytest.param('{"a":1}', None, id="absent"),
        pytest.param('{"details":' + "9" * 5000 + "}", "9" * 5000, id="5000 digits"),
    ],
)
def test_a_member_comes_out_as_written(raw: str, expected: str | None) -> None:
    assert member_text(raw, "details") == expected


@pytest.mark.parametrize("raw", ["", "[]x", '{"a"', '{"a":}', '{"a":1,', "nonsense"])
def test_what_is_no_object_contradicts_the_evidence(raw: str) -> None:
    with pytest.raises(Broken):
        member_text(raw, "details")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::", None),
        ("::ffff:203.0.113.42", "203.0.113.42"),
        ("2001:db8::7", "2001:db8::7"),
        ("::1", "::1"),
    ],
)
def test_an_address_is_shown_as_people_write_it(address: str, expected: str | None) -> None:
    assert render_address(address) == expected


def test_a_side_that_was_not_there_is_null() -> None:
    shown = orjson.dumps(render_changes(["role"], [""], ['"admin"']))
    assert shown == b'[{"path":"role","before":null,"after":"admin"}]'


def test_changes_of_unequal_length_contradict_each_other() -> None:
    with pytest.raises(Broken):
        render_changes(["a"], [], [])


def test_bytes_that_are_no_text_come_as_base64() -> None:
    assert render_raw(b"\xff\x00") == (None, "/wA=")
    assert render_raw(json.dumps("é").encode()) == ('"\\u00e9"', None)
