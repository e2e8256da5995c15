"""From an event to the message that is published: validated, secrets masked, keyed, with an id."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from schemas.address import parse_address
from schemas.errors import BadEvent
from schemas.event import Event, Fields, decode
from schemas.moment import parse
from schemas.secrets import mask_details, mask_text
from schemas.topics import EVENTS_MESSAGE_BYTES_MAX

DEFAULT_TENANT: Final = "default"
# Identity, not free text: masked, two users or two events could become one.
_KEPT: Final = ("timestamp", "user", "action", "event_id", "tenant", "request_id")


class Message(NamedTuple):
    """What goes to the broker; the events of one key keep their order."""

    key: bytes | None
    value: bytes


def to_message(event: Event | Mapping[str, Any], event_id: str) -> Message:
    """Validate, mask and serialise; `event_id` is for an event that brings none.

    Raises `BadEvent` naming the first fault, as the pipeline would.
    """
    fields = event.model_dump() if isinstance(event, Event) else dict(event)
    present = {name: value for name, value in fields.items() if value is not None}
    present.setdefault("event_id", event_id)
    try:
        check(orjson.dumps(present))  # what the pipeline would refuse must not be masked either
        value = orjson.dumps(mask_fields(present))
    except TypeError as error:  # a value or key that JSON doesn't have, or too deep
        raise BadEvent("details", "type", "send what JSON can hold") from error
    return Message(key_of(present), value)


def check(raw: bytes) -> Fields:
    """Return the fields of what the pipeline will take: dates and addresses exist, too.

    Raises `BadEvent`. Blind spot: a pipeline set to be strict refuses unknown fields besides.
    """
    fields = decode(raw)
    parse(fields["timestamp"])
    if (address := fields.get("ip_address")) is not None:
        parse_address(address)
    return fields


def mask_fields(fields: Fields) -> Fields:
    """Mask secrets everywhere but in what identifies; the same object if there is none."""
    session_id = fields.get("session_id")
    if isinstance(session_id, str) and mask_text(session_id) != session_id:
        # a token as session id still links events, by its digest
        digest = hashlib.sha256(session_id.encode("utf-8", "replace")).hexdigest()[:32]
        fields = {**fields, "session_id": f"sha256:{digest}"}
    masked = mask_details(fields)
    if masked is fields:
        return fields
    return {**masked, **{name: fields[name] for name in _KEPT if name in fields}}


def key_of(fields: Fields) -> bytes:
    """Return tenant/user: one user's events stay in order."""
    return f"{fields.get('tenant') or DEFAULT_TENANT}/{fields['user']}".encode()


def raw_message(raw: bytes, key: bytes | None = None) -> Message:
    """Wrap bytes as they are. Raises `BadEvent` only on what no broker of ours takes."""
    if len(raw) + len(key or b"") > EVENTS_MESSAGE_BYTES_MAX - _FRAME_BYTES:
        raise BadEvent("message", "too_large", "keep a message within 2 MiB")
    return Message(key, raw)


_FRAME_BYTES: Final = 256  # what a batch of one record adds at most
