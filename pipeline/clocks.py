"""How far each partition of the events is, as a message among the signals. Pure."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from zlib import crc32

import orjson

from schemas.errors import BadEvent

CLOCK_KEY: Final = b"clock"  # no rule's: those keys hold separators
SOURCES_MAX: Final = 100_000


class Clocks(NamedTuple):
    """Nothing that the broker took before these times, a partition each, is still to come.

    `sources` is how many partitions the topic has.
    """

    incarnation: str
    sources: int
    clocks_ms: Mapping[str, int]


def encode_clocks(clocks: Clocks) -> bytes:
    """Return the message's bytes; the inverse of `decode_clocks`."""
    return orjson.dumps(clocks._asdict())


def decode_clocks(raw: bytes | None) -> Clocks:
    """Parse one message. Raises `BadEvent`."""
    try:
        body: Any = orjson.loads(raw or b"")
        found = Clocks(body["incarnation"], body["sources"], body["clocks_ms"])
    except (ValueError, TypeError, KeyError) as error:
        raise BadEvent("clock", "unreadable") from error
    is_right = (
        type(found.incarnation) is str
        and type(found.sources) is int
        and type(found.clocks_ms) is dict
        and len(found.clocks_ms) <= SOURCES_MAX
        and all(type(clock_ms) is int for clock_ms in found.clocks_ms.values())
    )
    if not is_right:
        raise BadEvent("clock", "no_clock")
    return found


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a signal's key, on every worker and for ever the same."""
    return crc32(key) % partitions
