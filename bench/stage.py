"""Stage 1 alone, on one thread: µs an event on events never seen before, against pydantic's model.

`python -m bench.stage [--count N] [--size BYTES] [--profile]`
"""

import argparse
import cProfile
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from bench.contenders.whole import whole_stage
from bench.load import events
from pipeline.run import Output, Run
from runtime.memory import settle
from schemas.event import Event

T = TypeVar("T")

RECORDED_MS = 1_760_000_000_500  # half a second after the first of them, a hundred a second
RUN = 500  # records of one fetch


class Raw(NamedTuple):
    """What the stage reads of a Kafka record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def costs_us(
    work: Callable[[Sequence[T]], object], chunks: Sequence[Sequence[T]]
) -> tuple[float, float]:
    """Return the least and the median µs an event over all chunks, each done once (CPU time)."""
    times = []
    for chunk in chunks:
        begun = time.process_time()
        work(chunk)
        times.append((time.process_time() - begun) / len(chunk) * 1e6)
    return min(times), statistics.median(times)


def round_trip(raws: Sequence[Raw]) -> None:
    for raw in raws:
        Event.model_validate_json(raw.value or b"").model_dump_json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    raws = [
        Raw(at, RECORDED_MS + at * 10, key, value)
        for at, (value, key) in enumerate(events(asked.count, asked.size))
    ]
    chunks = [raws[at : at + RUN] for at in range(0, len(raws), RUN)]
    stage = whole_stage()
    settle()

    def work(chunk: Sequence[Raw]) -> Output:
        return stage(Run("audit.events", 0, chunk[0].offset, chunk))

    if asked.profile:
        known = {"work": work, "chunks": chunks}
        cProfile.runctx("for chunk in chunks: work(chunk)", known, {}, sort=1)
        return
    ours, theirs = costs_us(work, chunks), costs_us(round_trip, chunks)
    tally = stage.tally
    print(f"{asked.count:,} events of {asked.size} B: {tally.alerts} alerts,", end=" ")
    print(f"{tally.signals} signals, rules {stage.versions.split()[1]}")
    print("| what | µs an event, least | median | events/s |\n|---|---|---|---|")
    for name, (least, median) in (
        ("stage 1, all on", ours),
        ("pydantic model, validate and dump", theirs),
    ):
        print(f"| {name} | {least:.1f} | {median:.1f} | {1e6 / median:,.0f} |")


if __name__ == "__main__":
    main()
