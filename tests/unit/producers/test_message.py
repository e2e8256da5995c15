"""The message: valid, masked, keyed; and the ids that events get."""

import orjson
import pytest

from producers.event_id import time_ordered_id
from producers.message import raw_message, to_message
from schemas.errors import BadEvent
from schemas.event import Event
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX

EVENT = {"timestamp": "2025-10-11T14:23:15Z", "user": "4111111111111111", "action": "a.b"}


def test_event_without_an_id_gets_the_one_given() -> None:
    assert orjson.loads(to_message(EVENT, "id-1").value)["event_id"] == "id-1"
    assert orjson.loads(to_message(EVENT | {"event_id": "x"}, "id-1").value)["event_id"] == "x"


def test_model_and_mapping_give_the_same_message() -> None:
    assert to_message(Event(**EVENT), "i") == to_message(EVENT, "i")  # type: ignore[arg-type]


def test_key_is_tenant_and_user() -> None:
    assert to_message(EVENT, "i").key == b"default/4111111111111111"
    assert to_message(EVENT | {"tenant": "t"}, "i").key == b"t/4111111111111111"


def test_identity_is_kept_and_secrets_elsewhere_are_masked() -> None:
    event = EVENT | {
        "event_id": "4111111111111111",
        "reason": "password=x1",
        "user_agent": "curl Bearer abcdef123456",
        "details": {"api_key": "k"},
        "password": "unknown field",
    }
    fields = orjson.loads(to_message(event, "i").value)
    assert fields["user"] == fields["event_id"] == "4111111111111111"
    assert fields["reason"] == "password=***"
    assert fields["user_agent"] == "curl Bearer ***"
    assert fields["details"] == {"api_key": "***"}
    assert fields["password"] == "***"


def test_token_as_session_id_still_links_events() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    first = orjson.loads(to_message(EVENT | {"session_id": token}, "i").value)["session_id"]
    again = orjson.loads(to_message(EVENT | {"session_id": token}, "j").value)["session_id"]
    other = orjson.loads(to_message(EVENT | {"session_id": token + "x"}, "i").value)["session_id"]
    assert token not in first
    assert first == again != other


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({}, "timestamp:missing"),
        (EVENT | {"details": {"x": object()}}, "details:type"),
        (EVENT | {"details": {1: 2}}, "details:type"),
        (EVENT | {"user": "x\ud800"}, "details:type"),
        (EVENT | {"action": "Login"}, "action:format"),
        (EVENT | {"timestamp": "2025-02-30T00:00:00Z"}, "timestamp:invalid"),
        (EVENT | {"timestamp": "2400-01-01T00:00:00Z"}, "timestamp:out_of_range"),
        (EVENT | {"ip_address": "1.2.3.400"}, "ip_address:invalid"),
    ],
)
def test_bad_event_is_refused_here_not_quarantined_later(
    event: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadEvent) as caught:
        to_message(event, "i")
    assert caught.value.reason == reason
    assert reason == "timestamp:missing" or caught.value.hint


def test_bytes_that_no_broker_takes_are_refused() -> None:
    with pytest.raises(BadEvent, match="message:too_large"):
        raw_message(b"x" * EVENTS_MESSAGE_BYTES_MAX)
    assert raw_message(b"x" * 1_000_000).key is None


def test_ids_are_version_7_and_in_order_of_time() -> None:
    assert time_ordered_id(1, 0) == "00000000-0001-7000-8000-000000000000"
    assert time_ordered_id(1, (1 << 74) - 1) == "00000000-0001-7fff-bfff-ffffffffffff"
    ids = [time_ordered_id(ms) for ms in (1, 2, 1_760_192_595_000, 1_760_192_595_001)]
    assert ids == sorted(ids)
    assert len({time_ordered_id(5) for _ in range(1000)}) == 1000
