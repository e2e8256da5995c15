"""Signals as messages that the broker takes, however long their texts are. Pure."""

from collections.abc import Sequence
from typing import Final

from pipeline.run import OutSignal
from schemas.signal import Signal, encode, key_of

MESSAGE_BYTES_MAX: Final = 1_000_000  # half of what audit.signals takes; one event has less


def to_messages(signal: Signal) -> Sequence[OutSignal]:
    """Write a signal as one message or, if that is too large, as several, in order.

    Never cut between the entries of one event: what comes after the first of them is a repeat.
    """
    value = encode(signal)
    middle = _middle(signal) if len(value) > MESSAGE_BYTES_MAX else 0
    if not middle:
        return (OutSignal(key_of(signal), value),)
    parts = (signal.entries[:middle], signal.entries[middle:])
    return [cut for part in parts for cut in to_messages(signal._replace(entries=part))]


def _middle(signal: Signal) -> int:
    """Return where the event begins that is nearest behind the middle, or before it; 0 if none."""
    entries, half = signal.entries, len(signal.entries) // 2
    starts = [n for n in range(1, len(entries)) if entries[n][0] != entries[n - 1][0]]
    return min(starts, key=lambda start: abs(start - half), default=0)
