"""The record: what stage 1 makes of one raw message, and how the sink proves that none is missing.

The value of a record on `audit.records` is one JSON line whose keys are columns of the table it
goes to (schemas/tables.py), so that the sink joins lines and parses none. Its kind and coverage
stand in one header, `coverage`: ASCII "kind:incarnation:from:origin", for example
"a:mXvG0bqmS5e4fXk6yBHzVA:41:41".
"""

from typing import Final, Literal, NamedTuple

from schemas.errors import Broken

COVERAGE_HEADER: Final = "coverage"

ACCEPTED: Final = "a"
REJECTED: Final = "q"  # goes to quarantine

Verdict = Literal["next", "repeat", "hole"]


class Coverage(NamedTuple):
    """Which raw offsets of its partition a record accounts for: `from_` to `origin`, inclusive.

    `incarnation` is Kafka's id of the raw topic: offsets start anew when a topic is made anew.
    All offsets below `origin` in the range held no event (transaction markers).
    """

    kind: str
    incarnation: str
    from_: int
    origin: int


def encode_coverage(kind: str, incarnation: str, from_: int, origin: int) -> bytes:
    """Return the header's bytes; `decode_coverage` gives a `Coverage` of the same again.

    Of bare fields, for it is done for every record: making the tuple costs more than the bytes.
    """
    return f"{kind}:{incarnation}:{from_}:{origin}".encode()


def decode_coverage(header: bytes) -> Coverage:
    """Parse the header. Raises `Broken` on anything that stage 1 would not have written."""
    try:
        kind, incarnation, from_, origin = header.decode("ascii").split(":")
        coverage = Coverage(kind, incarnation, int(from_), int(origin))
    except ValueError as error:
        raise Broken("a record on audit.records has no readable coverage header") from error
    if kind not in (ACCEPTED, REJECTED) or not 0 <= coverage.from_ <= coverage.origin:
        raise Broken("a record on audit.records has an impossible coverage header")
    return coverage


def judge(expected: int, from_: int, origin: int) -> Verdict:
    """Say what a record is to a sink that expects raw offset `expected` next.

    repeat: a worker died, a rebalance, a zombie: skip and count it. next: take it and expect
    `origin + 1`. hole: something between is missing: stop, store nothing past it.
    """
    if origin < expected:
        return "repeat"
    return "next" if from_ <= expected else "hole"
