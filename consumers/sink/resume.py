"""Where to begin a partition: where the group says, else where the ledger in the store ends."""

from typing import NamedTuple

from consumers.sink import recovery
from consumers.sink.entry import Place
from consumers.sink.intent import Position, decode
from runtime.clickhouse import Store
from schemas.errors import Broken


class Ends(NamedTuple):
    """First and next offset of each partition of audit.records."""

    begin: dict[int, int]
    end: dict[int, int]


def resume(store: Store, place: Place, told: tuple[int, str] | None, ends: Ends) -> Position:
    """Return the position from which to go on, proven against the store.

    `told` is the group's commit: absent after the group expired, or without our metadata when a
    tool moved the offset; then the ledger decides, and coverage skips what is stored already.
    Raises `Broken` if the store has rows that neither can explain.
    """
    number = place.partition
    begin, end = ends.begin[number], ends.end[number]
    position = decode(*told) if told is not None else None
    if position is None:
        position = _from_ledger(store, place, begin)
    if not begin <= position.offset <= end:
        if position.intent is not None:
            raise Broken(
                f"the announced records from {position.offset} are gone, the topic has {begin} to "
                f"{end}: lost by retention, or the topic was made anew"
            )
        # audit.records was made anew, or expired: coverage tells what is missing, if anything
        position = Position(begin, position.incarnation, position.expected)
    if position.intent is None and position.incarnation:
        past = recovery.rows_from(
            store, position.incarnation, place.topic, number, position.expected
        )
        if past:
            raise Broken(f"the store has {past} rows past raw offset {position.expected}")
    return position


def _from_ledger(store: Store, place: Place, begin: int) -> Position:
    incarnation = recovery.latest_incarnation(store, place.topic, place.partition)
    if not incarnation:
        return Position(begin)
    found = recovery.extent(store, incarnation, place.topic, place.partition)
    assert found is not None, "an incarnation that the ledger named has lines there"
    return Position(found.record_next, incarnation, found.origin_next)
