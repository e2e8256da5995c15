"""What the sink keeps in Kafka: where it is, and which batch it is about to write.

The committed offset is the first record not yet proven to be stored; the commit's metadata says
which raw offset comes next and, while a batch is being written, that batch's exact extent. Commits
are fenced by the group's generation, so there is at most one open intent, and every later owner
of the partition sees it. Pure.
"""

import json
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from schemas.errors import Broken

METADATA_BYTES_MAX: Final = 4096  # Kafka's offset.metadata.max.bytes
VERSION: Final = 1


class Intent(NamedTuple):
    """One batch, announced: its records up to `last`, and all that its rows must add up to."""

    last: int
    origin_next: int
    accepted: int
    rejected: int
    month: int  # yyyymm of its records: the one ClickHouse partition that it touches
    content: str  # hash of the batch's bytes
    deadline_s: int


@dataclass(frozen=True, slots=True)
class Position:
    """The next record to read, and the raw offset that it may begin with.

    `incarnation` is "" before the first record ever: then the first record decides.
    """

    offset: int
    incarnation: str = ""
    expected: int = 0
    intent: Intent | None = None

    def announced(self, intent: Intent) -> "Position":
        """Return the same position with a batch announced."""
        return replace(self, intent=intent)


def encode(position: Position) -> str:
    """Return the commit's metadata; with the offset, the inverse of `decode`."""
    told: dict[str, object] = {"v": VERSION, "inc": position.incarnation, "e": position.expected}
    if position.intent is not None:
        told["i"] = list(position.intent)
    text = json.dumps(told, separators=(",", ":"))
    assert len(text.encode()) <= METADATA_BYTES_MAX, "the metadata is bounded by its few fields"
    return text


def decode(offset: int, metadata: str | None) -> Position | None:
    """Read a commit back; None where there is none of ours (no commit, or reset by a tool).

    Raises `Broken` on metadata that this version would not have written.
    """
    if offset < 0 or not metadata:
        return None
    try:
        told = json.loads(metadata)
        if told["v"] != VERSION:
            raise Broken(f"the sink's commit has version {told['v']}, this sink knows {VERSION}")
        intent = Intent(*told["i"]) if "i" in told else None
        position = Position(offset, str(told["inc"]), int(told["e"]), intent)
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("the sink's commit has metadata that no sink wrote") from error
    if intent is not None and not (
        intent.last >= offset
        and intent.origin_next > position.expected
        and 0 < intent.accepted + intent.rejected <= intent.origin_next - position.expected
    ):
        raise Broken("the sink's commit announces an impossible batch")
    return position
