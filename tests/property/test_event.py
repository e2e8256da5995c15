"""Laws of the door: any bytes give fields or a named fault; what is accepted is unambiguous."""

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import BadEvent
from schemas.event import FIELDS, Event, decode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
NEARLY = st.fixed_dictionaries(
    {
        "timestamp": st.sampled_from(["2025-10-11T14:23:15Z", "2025-10-11t14:23:15.5+02:00"])
        | JSON,
        "user": st.text(max_size=260) | JSON,
        "action": st.sampled_from(["a.b", "data.export.completed"]) | JSON,
    },
    optional=dict.fromkeys(sorted(FIELDS - {"timestamp", "user", "action"}), JSON),
)
GOOD = {"timestamp": "2025-10-11T14:23:15Z", "user": "a", "action": "a.b"}


def judge(raw: bytes) -> dict[str, Any] | None:
    try:
        return decode(raw)
    except BadEvent as error:
        field, kind = error.reason.split(":")
        assert field in FIELDS | {"message"}
        assert kind.replace("_", "").isalnum()
        return None


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(raw: bytes) -> None:
    judge(raw)


@given(NEARLY)
def test_what_is_accepted_fits_the_model_and_is_what_was_sent(event: dict[str, Any]) -> None:
    raw = json.dumps(event).encode()
    fields = judge(raw)
    if fields is not None:
        assert fields == orjson.loads(raw)
        Event.model_validate(fields)


@given(st.dictionaries(st.text(max_size=5), JSON.filter(lambda v: v == v), max_size=4))  # noqa: PLR0124 - NaN
def test_key_that_stands_twice_is_always_refused(details: dict[str, Any]) -> None:
    inner = json.dumps(details, allow_nan=False, default=str) if _is_finite(details) else "{}"
    twice = f'{{"x":{inner},"x":{inner}}}'
    raw = json.dumps(GOOD)[:-1] + f',"details":{twice}}}'
    assert judge(raw.encode()) is None


def _is_finite(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
