"""Plays the sample traffic to a publisher: the past days at once, then live, for ever.

The past is ordinary work; attacks are live. The first minutes have one of each kind.

A small file says how far the past was published. It is written before each batch goes out, so
that a player killed in between leaves a few sample events out and never publishes one twice.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from producers.lane import Outcome
from producers.sample import PAST, Event, opening, sample
from runtime.clock import Clock
from schemas.errors import AuditError, Misconfigured, Unavailable

DAY_MS: Final = 86_400_000
BACKFILL_DAYS: Final = 5  # well within the week that the pipeline accepts as not late
BACKFILL_EVENTS_PER_HOUR: Final = 80.0  # a working hour's; about 6,000 events in five days
_BATCH_EVENTS: Final = 500
_RETRY_S: Final = 2.0
_BEHIND_MS_MAX: Final = 60_000  # live events older than that are left out
_SLEEP_S_MAX: Final = 1.0  # a clock that jumps is noticed within it


class EventPublisher(Protocol):
    """What is needed of a publisher."""

    async def publish_many(
        self, events: list[Event], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """As `Publisher.publish_many` promises."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it got: the past is published in [start_ms, done_ms), and complete at live_ms."""

    seed: int
    start_ms: int
    done_ms: int
    live_ms: int

    @property
    def is_past_done(self) -> bool:
        """Whether all of the past has been published."""
        return self.done_ms >= self.live_ms


def load(path: Path, seed: int, now_ms: int, days: int = BACKFILL_DAYS) -> Progress:
    """Read the progress, or begin anew. Raises `Misconfigured` on a file that isn't one."""
    try:
        found = orjson.loads(path.read_bytes())
        return Progress(**{name: int(found[name]) for name in Progress.__slots__})
    except FileNotFoundError:
        start_ms = now_ms - days * DAY_MS
        return Progress(seed, start_ms, start_ms, now_ms)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise Misconfigured(
            f"{path} is no progress file of the sample player: delete it"
        ) from error
    except OSError as error:
        raise Misconfigured(f"{path} can't be read: {error.strerror}") from error


def save(path: Path, progress: Progress) -> None:
    """Write the progress, all of it or nothing. Raises `Misconfigured`."""
    content = orjson.dumps({name: getattr(progress, name) for name in Progress.__slots__})
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(content)
        os.replace(fresh, path)  # noqa: PTH105 - the atomic one, by its name
    except OSError as error:
        raise Misconfigured(f"{path} can't be written: {error.strerror}") from error


async def play(  # noqa: PLR0913 - each is a bound or a seam for tests
    publisher: EventPublisher,
    progress_path: Path,
    *,
    clock: Clock,
    seed: int = 7,
    rate_per_s: float = 3.0,
    stop: asyncio.Event,
    on_fault: Callable[[AuditError], None] = lambda _error: None,
) -> None:
    """Publish the past once, then live events at about `rate_per_s`, until `stop` is set.

    Times are by `clock`. A broker that is away makes it wait; `on_fault` hears of it. Raises
    `Misconfigured` when the progress can't be kept.
    """
    progress = load(progress_path, seed, clock.now_ms())
    await _play_past(publisher, progress_path, progress, stop, on_fault)
    live_seed = progress.seed + 1  # its sessions must not be those of the past
    first: Iterator[Event] = iter(())
    if not progress.is_past_done:  # nobody has seen any of it yet
        first = opening(live_seed, clock.now_ms())
    while not stop.is_set():
        live = sample(live_seed, clock.now_ms(), events_per_hour=rate_per_s * 3600)
        for event in merge(first, live, key=_moment_ms):
            moment_ms = _moment_ms(event)
            await _sleep_until(moment_ms, clock, stop)
            if stop.is_set() or moment_ms < clock.now_ms() - _BEHIND_MS_MAX:
                break  # the machine slept or the broker was away: go on from now
            await _publish([event], publisher, stop, on_fault)
        first = iter(())


async def _play_past(
    publisher: EventPublisher,
    path: Path,
    progress: Progress,
    stop: asyncio.Event,
    on_fault: Callable[[AuditError], None],
) -> None:
    if progress.is_past_done:
        return
    events = sample(
        progress.seed,
        progress.done_ms,
        progress.live_ms,
        events_per_hour=BACKFILL_EVENTS_PER_HOUR,
        mix=PAST,
    )
    for batch in _batches(events):
        if stop.is_set():
            return
        # to the ms after the last one: what else happened in that ms is left out
        done_ms = _moment_ms(batch[-1]) + 1
        save(path, Progress(progress.seed, progress.start_ms, done_ms, progress.live_ms))
        await _publish(batch, publisher, stop, on_fault)
    if not stop.is_set():
        save(path, Progress(progress.seed, progress.start_ms, progress.live_ms, progress.live_ms))


def _batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    while batch := list(islice(events, _BATCH_EVENTS)):
        yield batch


async def _publish(
    events: list[Event],
    publisher: EventPublisher,
    stop: asyncio.Event,
    on_fault: Callable[[AuditError], None],
) -> None:
    """Publish until the broker has them or `stop` is set."""
    left = events
    while left and not stop.is_set():
        outcomes = await publisher.publish_many(left)
        faults = [o for o in outcomes if isinstance(o, AuditError)]
        left = [e for e, o in zip(left, outcomes, strict=True) if isinstance(o, Unavailable)]
        if faults:
            on_fault(faults[0])
        if left:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _RETRY_S)


async def _sleep_until(moment_ms: int, clock: Clock, stop: asyncio.Event) -> None:
    """Wait for the moment, or for `stop`."""
    while not stop.is_set() and (left_s := (moment_ms - clock.now_ms()) / 1000) > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), min(left_s, _SLEEP_S_MAX))


def _moment_ms(event: Mapping[str, Any]) -> int:
    return round(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)
