"""Raw events for benches: about the size asked for, entropy as real ones have, ids unique.

Sessions of the sample traffic, each repetition with its own ids, times and notes, so that no
compression finds the same event twice.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Final, NamedTuple

import orjson

from producers.message import key_of
from producers.sample import DENSE, sample

POOL_EVENTS: Final = 20_000
EVENTS_PER_SECOND: Final = 100  # of event time: ten million events span 28 hours
_START_S: Final = 1_760_000_000
_TEXT_BYTES: Final = 4_000_000  # notes are cut from it; far more than a block of any store
_STRIDE: Final = 7_919  # a prime, so that the cuts wander through all of the text
_PHRASES: Final = 100
_PHRASE_WORDS: Final = 14
_FRAME: Final = len(',"note":""')
_WORDS: Final = (
    "call", "queue", "agent", "transfer", "hold", "caller", "billing", "appointment", "refill",
    "note", "voicemail", "shift", "escalated", "resolved", "follow-up", "verified", "identity",
    "policy", "insurance", "patient", "record", "updated",
)  # fmt: skip


class _Form(NamedTuple):
    """An event cut up where something of its own goes: time, session, note."""

    to_session: bytes
    to_note: bytes
    tail: bytes
    note_bytes: int
    key: bytes


def bench_events(seed: int, count: int, size_bytes: int = 1_000) -> list[bytes]:
    """Return `count` events; equal for equal arguments."""
    return [raw for raw, _ in bench_messages(seed, count, size_bytes)]


def bench_messages(seed: int, count: int, size_bytes: int = 1_000) -> Iterator[tuple[bytes, bytes]]:
    """Yield pairs of event and key, as `Publisher.publish_many_bytes` takes them."""
    forms = _forms(seed, min(count, POOL_EVENTS), size_bytes)
    text = _text(seed)
    id_start = b'{"event_id":"%08x-0000-7000-8000-' % (seed & 0xFFFFFFFF)
    second = b""
    for number in range(count):
        if number % EVENTS_PER_SECOND == 0:
            moment = datetime.fromtimestamp(_START_S + number // EVENTS_PER_SECOND, UTC)
            second = b'","timestamp":"%b.' % moment.strftime("%Y-%m-%dT%H:%M:%S").encode()
        form = forms[number % len(forms)]
        cut = number * _STRIDE % (_TEXT_BYTES - form.note_bytes)
        raw = b"%b%012x%b%02d0Z%b-%x%b%b%b" % (
            id_start,
            number,
            second,
            number % EVENTS_PER_SECOND,
            form.to_session,
            number // len(forms),
            form.to_note,
            text[cut : cut + form.note_bytes],
            form.tail,
        )
        yield raw, form.key


def _forms(seed: int, size: int, size_bytes: int) -> list[_Form]:
    rng = Random(f"bench/{seed}")  # noqa: S311 - repeatable, not secret
    forms = []
    for event in islice(sample(seed, _START_S * 1000, mix=DENSE), size):
        rest = {name: event[name] for name in event if name not in {"event_id", "timestamp"}}
        rest["request_id"] = f"req_{rng.getrandbits(64):016x}"
        rest["details"] = {**rest.get("details", {}), "note": ""}
        fixed = orjson.dumps(rest)[1:]
        to_session, mark, after = fixed.partition(rest["session_id"].encode())
        to_note, note_mark, tail = after.partition(b'"note":"')
        missing = size_bytes - len(fixed) - 2 * _FRAME - 72  # of id, time and session
        forms.append(
            _Form(
                b'",' + to_session + mark,
                to_note + note_mark,
                tail,
                max(0, missing),
                key_of(event),
            )
        )
    return forms


def _text(seed: int) -> bytes:
    """Write what audit details say: phrases that recur, each with a number of its own.

    A kilobyte of these events takes zstd more than a kilobyte of real CloudTrail events does
    (112 bytes against 85, by `python -m bench disk`), so that no bench flatters itself.
    """
    rng = Random(f"notes/{seed}")  # noqa: S311 - repeatable, not secret
    phrases = [" ".join(rng.choices(_WORDS, k=_PHRASE_WORDS)) for _ in range(_PHRASES)]
    parts = []
    length = 0
    while length < _TEXT_BYTES:
        part = f"{rng.choice(phrases)} {rng.getrandbits(12)}; "
        parts.append(part)
        length += len(part)
    return "".join(parts).encode()[:_TEXT_BYTES]
