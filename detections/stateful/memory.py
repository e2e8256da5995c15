"""The memory of one (rule, group) while a signal is applied to it, and what its bytes are. Pure."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import orjson

from schemas.errors import Broken
from schemas.signal import Entry

FORMAT: Final = 1  # raise it when older bytes could not be read any more
ALERTED_MAX: Final = 64  # buckets remembered; one forgotten sends the same alert id once more
SOURCES_MAX: Final = 1_024  # partitions remembered; one forgotten could count its repeats
EVENT_IDS_MAX: Final = 100  # as an alert has them
NEVER: Final = 0  # a watermark that says nothing

_MEMBERS: Final = 4

# Who is behind a crossing: see schemas.signal.Who.
NOBODY: Final[Sequence[str]] = ("", "", "", "", "", "")


Body = Any  # what a machine keeps: plain JSON of its own shape


class Terms(NamedTuple):
    """What holds for all stateful rules.

    An event that the broker took more than `grace_ms` after it says it happened is late, one
    that says it happened more than `future_ms` after that is from the future; neither counts.
    State is kept `slack_ms` longer than needed, for repeats.
    """

    grace_ms: int = 15 * 60_000
    future_ms: int = 5 * 60_000
    slack_ms: int = 60 * 60_000


class Crossing(NamedTuple):
    """One bucket in which a rule's condition became true, and the event that made it so.

    `label` adds to the group's text what the rule tells apart within a group ("country=FR").
    `words` are for the alert's text.
    """

    bucket: int
    event_ids: Sequence[str]
    events: int
    occurred_ms: int
    recorded_ms: int
    who: Sequence[str]
    label: str = ""
    words: tuple[tuple[str, str], ...] = ()


class Memory:
    """State taken apart: what was applied, which buckets have alerted, the machine's own body.

    `watermark_ms`: no event that the broker took before it is still to come; `NEVER` if unknown.
    """

    __slots__ = ("alerted", "applied", "body", "crossings", "missed", "thinned", "watermark_ms")

    def __init__(
        self, applied: dict[str, int], alerted: list[int], body: Body, watermark_ms: int
    ) -> None:
        self.applied = applied
        self.alerted = alerted
        self.body = body
        self.watermark_ms = watermark_ms
        self.crossings: list[Crossing] = []
        self.missed = 0  # entries below the watermark: repeats of what was forgotten
        self.thinned = 0

    def note(self, crossing: Crossing) -> None:
        """Note a crossing that can't come twice."""
        self.crossings.append(crossing)

    def cross(self, crossing: Crossing) -> None:
        """Note that the condition holds in a bucket; only its first time counts."""
        if crossing.bucket in self.alerted:
            return
        self.alerted.append(crossing.bucket)
        self.crossings.append(crossing)


class Machine(Protocol):
    """One kind of rule: how entries change a body, when it fires, and when it is over.

    All are functions of the memory alone, and the buckets that cross depend only on the set of
    entries that were ever added, not on their order nor on when `advance` was called.
    """

    @property
    def bucket_ms(self) -> int:
        """The length of the buckets that alerts are named by; 0 if each crossing is its own."""

    @property
    def retention_ms(self) -> int:
        """How long after its last entry a body can still matter, grace not counted."""

    @property
    def grace_ms(self) -> int:
        """By how much an entry's time may lie before the watermark at which it comes."""

    def fresh(self) -> Body:
        """Return the body of a group never seen."""

    def add(self, memory: Memory, entry: Entry, partition: int) -> None:
        """Take one entry in, and cross what became true at once."""

    def advance(self, memory: Memory) -> None:
        """Decide what the watermark has made sure, and forget what can't matter any more."""

    def due_ms(self, body: Body) -> int | None:
        """Return the watermark from which `advance` has something to decide."""

    def last_ms(self, body: Body) -> int | None:
        """Return the time of the latest entry that the body still holds, if any."""


def open_memory(state: bytes | None, machine: Machine, watermark_ms: int) -> Memory:
    """Take state apart. Raises `Broken` for bytes that `close_memory` can't have written."""
    if state is None:
        return Memory({}, [], machine.fresh(), watermark_ms)
    try:
        parts = orjson.loads(state)
    except orjson.JSONDecodeError as error:
        raise Broken("the state of a stateful rule is not readable") from error
    if type(parts) is not list or len(parts) != _MEMBERS or parts[0] != FORMAT:
        raise Broken("the state of a stateful rule has another format")
    return Memory(parts[1], parts[2], parts[3], watermark_ms)


def close_memory(memory: Memory) -> bytes:
    """Write state as `open_memory` reads it.

    Copied, because what orjson returns keeps the kilobytes of its buffer: 200,000 states of 132
    bytes took 810 MiB as they came and 60 MiB copied.
    """
    return b"%b" % orjson.dumps([FORMAT, memory.applied, memory.alerted, memory.body])
