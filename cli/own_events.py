"""The console's own events as they are published: masked, then marked as its own."""

from collections.abc import Mapping
from typing import Any

import orjson

from producers.message import Message, to_message
from schemas.console_mark import sign


def own_message(key: bytes, event: Mapping[str, Any], event_id: str) -> Message:
    """Return the message of an event of the console; the mark is over what is published of it.

    Raises `BadEvent`.
    """
    named, value = to_message(event, event_id)
    return Message(named, orjson.dumps(sign(key, orjson.loads(value))))
