"""Signals are cut to what the broker takes, and never within an event."""

from itertools import pairwise

import pytest

from pipeline import signal_cut
from pipeline.signal_cut import to_messages
from schemas.signal import Signal, decode, key_of

WHO = ["e", "u", "a", "r", "", "s"]


def signal(*offsets: int) -> Signal:
    entries = [[offset, 1, 2, 0, f"value-{n}", WHO] for n, offset in enumerate(offsets)]
    return Signal("rule", 1, "default", ("jane",), "incarnation", 3, entries)


def test_signal_that_fits_is_one_message() -> None:
    (message,) = to_messages(signal(1, 2, 3))
    assert message.key == key_of(signal(1))
    assert decode(message.value) == signal(1, 2, 3)


@pytest.mark.parametrize("bytes_max", [1, 300, 500, 1_000])
def test_parts_joined_are_the_signal_and_no_event_is_cut(
    bytes_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_cut, "MESSAGE_BYTES_MAX", bytes_max)
    whole = signal(1, 1, 1, 2, 3, 3, 4, 5, 6, 6, 6, 6, 7)
    parts = [decode(message.value) for message in to_messages(whole)]
    assert [entry for part in parts for entry in part.entries] == whole.entries
    offsets = [{entry[0] for entry in part.entries} for part in parts]
    assert all(not a & b for a, b in pairwise(offsets))
    for message, found in zip(to_messages(whole), offsets, strict=True):
        assert len(message.value) <= bytes_max or len(found) == 1
    assert {message.key for message in to_messages(whole)} == {key_of(whole)}
