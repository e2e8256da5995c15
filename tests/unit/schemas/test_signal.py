"""Signals: what stage 1 writes, stage 2 reads; and nothing hostile gets in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadEvent
from schemas.signal import (
    CHAINED,
    TEXT_MAX,
    Signal,
    bound_text,
    decode,
    encode,
    key_of,
    parse_key,
    state_key,
)

WHO = ["e1", "jane", "a.b", "portal", "192.0.2.1", "s1"]
ENTRY: list[Any] = [7, 1_000, 1_010, 0, None, WHO]


def _body(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "rule": "brute-force",
        "version": 2,
        "tenant": "default",
        "group": ["jane"],
        "incarnation": "abc",
        "partition": 3,
        "entries": [ENTRY],
    }
    return {**body, **changes}


def test_signal_is_read_as_it_was_written() -> None:
    signal = Signal("r", 1, "t", ("jane", "x"), "abc", CHAINED, [ENTRY])
    assert decode(encode(signal)) == signal


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"rule": 5}, "rule:not_a_text", id="rule is no text"),
        pytest.param({"rule": "x" * 257}, "rule:not_a_text", id="rule too long"),
        pytest.param({"version": 0}, "version:not_a_number", id="version zero"),
        pytest.param({"version": True}, "version:not_a_number", id="version is a bool"),
        pytest.param({"tenant": None}, "tenant:not_a_text", id="no tenant"),
        pytest.param({"group": "jane"}, "group:not_texts", id="group is a text"),
        pytest.param({"group": ["a"] * 17}, "group:not_texts", id="group too wide"),
        pytest.param({"group": [None]}, "group:not_texts", id="group holds null"),
        pytest.param({"partition": -2}, "partition:not_a_number", id="partition below all"),
        pytest.param({"entries": []}, "entries:not_a_list", id="no entries"),
        pytest.param({"entries": {}}, "entries:not_a_list", id="entries are an object"),
        pytest.param({"entries": [[1, 2]]}, "entry:not_an_entry", id="entry too short"),
        pytest.param({"entries": [["7", *ENTRY[1:]]]}, "entry:not_a_number", id="offset is a text"),
        pytest.param({"entries": [[-1, *ENTRY[1:]]]}, "entry:out_of_range", id="offset below 0"),
        pytest.param({"entries": [[7, 2**60, *ENTRY[2:]]]}, "entry:out_of_range", id="far away"),
        pytest.param({"entries": [[*ENTRY[:3], 256, *ENTRY[4:]]]}, "entry:out_of_range", id="slot"),
        pytest.param(
            {"entries": [[*ENTRY[:4], {"a": 1}, WHO]]}, "entry:value_not_scalar", id="object value"
        ),
        pytest.param(
            {"entries": [[*ENTRY[:4], [["a"]], WHO]]}, "entry:value_not_scalars", id="deep value"
        ),
        pytest.param(
            {"entries": [[*ENTRY[:5], ["e1"]]]}, "entry:who_not_texts", id="who too short"
        ),
        pytest.param(
            {"entries": [[*ENTRY[:5], [1] * 6]]}, "entry:who_not_texts", id="who holds numbers"
        ),
    ],
)
def test_hostile_signal_is_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadEvent) as refused:
        decode(json.dumps(_body(**changes)).encode())
    assert refused.value.reason == reason


@pytest.mark.parametrize("raw", [None, b"", b"[]", b"{", b"\xff", b"1", b"{}"])
def test_what_is_no_signal_is_refused(raw: bytes | None) -> None:
    with pytest.raises(BadEvent):
        decode(raw)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_name(raw: bytes) -> None:
    with pytest.raises(BadEvent, match=r"^[a-z]+:[a-z_]+"):
        decode(raw)


_TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(_TEXTS, st.integers(1, 99), _TEXTS, st.lists(_TEXTS, max_size=4))
def test_key_is_read_as_it_was_written(
    rule: str, version: int, tenant: str, group: list[str]
) -> None:
    key = state_key(rule, version, tenant, group)
    assert parse_key(key) == (rule, version, tenant, tuple(group))


def test_separators_in_values_make_no_two_groups_one() -> None:
    keys = {
        state_key("r", 1, "t", group)
        for group in (["a\x1fb"], ["a", "b"], ["a%1fb"], ["a%251fb"], ["a", "b", ""])
    }
    assert len(keys) == 5


@pytest.mark.parametrize("key", [b"", b"a", b"a\x1f1", b"a\x1fx\x1ft", b"\xff\x1f1\x1ft"])
def test_key_that_nobody_wrote_is_refused(key: bytes) -> None:
    with pytest.raises(BadEvent):
        parse_key(key)


def test_key_of_a_signal_is_its_state() -> None:
    signal = Signal("r", 1, "t", ("jane",), "abc", 3, [ENTRY])
    assert key_of(signal) == b"r\x1f1\x1ft\x1fjane"


def test_long_texts_stay_different_within_the_bound() -> None:
    texts = {bound_text("x" * length) for length in range(250, 400)}
    assert len(texts) == 150
    assert max(map(len, texts)) == TEXT_MAX
