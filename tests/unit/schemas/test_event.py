"""The door: what an event must be, and the reason by which each fault is named."""

import json

import orjson
import pytest

from schemas.errors import BadEvent
from schemas.event import FIELDS, decode
from schemas.publish import PATH, event_schema
from schemas.topics import EVENT_BYTES_MAX

EVENT = {"timestamp": "2025-10-11T14:23:15Z", "user": "jane", "action": "a.b"}


def raw(**fields: object) -> bytes:
    return orjson.dumps(EVENT | fields)


def test_published_schema_is_that_of_the_model() -> None:
    assert PATH.read_text(encoding="utf-8") == event_schema(), "run python -m schemas.publish"
    schema = json.loads(event_schema())
    assert set(schema["properties"]) == FIELDS
    assert schema["required"] == ["timestamp", "user", "action"]


def test_null_means_absent() -> None:
    assert decode(raw(role=None, details=None))["role"] is None


def test_unknown_fields_are_kept() -> None:
    assert decode(raw(colour="red"))["colour"] == "red"


def test_largest_event_is_taken_and_one_byte_more_is_not() -> None:
    padding = EVENT_BYTES_MAX - len(raw(details={"x": ""}))
    assert decode(raw(details={"x": "y" * padding}))
    with pytest.raises(BadEvent, match="message:too_large"):
        decode(raw(details={"x": "y" * (padding + 1)}))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "message:null"),
        (b"", "message:empty"),
        (b" \n", "message:empty"),
        (b"\xef\xbb\xbf{}", "message:bom"),
        (b"\xff\xfe", "message:not_utf8"),
        (b"{", "message:not_json"),
        (b'{"a": NaN}', "message:not_json"),
        (b"[" * 100_000, "message:not_json"),
        (b"[]", "message:not_object"),
        (b"{}", "timestamp:missing"),
        (raw(timestamp=1760192595), "timestamp:type"),
        (raw(timestamp="2025-10-11T14:23:15"), "timestamp:format"),
        (raw(timestamp="2025-10-11T14:23:15Z\n"), "timestamp:format"),
        (raw(user=""), "user:too_short"),
        (raw(user="x" * 257), "user:too_long"),
        (raw(user={}), "user:type"),
        (raw(action="Login"), "action:format"),
        (raw(action="login"), "action:format"),
        (raw(action="a.b.c.d.e.f.g"), "action:format"),
        (raw(action="a.b\n"), "action:format"),
        (raw(result="ok"), "result:value"),
        (raw(details=[]), "details:type"),
        (b'{"timestamp":"2025-10-11T14:23:15Z","user":"a","user":"b","action":"a.b"}',
         "user:repeated"),
        (raw()[:-1] + b',"details":{"x":{"y":1,"y":2}}}', "details:repeated"),
        (raw()[:-1] + b',"details":' + b'{"a":' * 300 + b"1" + b"}" * 301, "details:too_deep"),
    ],
)  # fmt: skip
def test_fault_is_named(message: bytes | None, reason: str) -> None:
    with pytest.raises(BadEvent) as caught:
        decode(message)
    assert caught.value.reason == reason


def test_error_never_holds_the_value() -> None:
    with pytest.raises(BadEvent) as caught:
        decode(raw(user=["hunter2"], timestamp="hunter2"))
    assert "hunter2" not in repr(caught.value) + str(caught.value.__cause__)
