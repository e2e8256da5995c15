"""The whole path at full load: rate, CPU an event and memory of each process, and what is flat."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.broker import say
from bench.generator import Load
from bench.measure import Usage, forget_peak, usage
from bench.report import Row, Table
from bench.rows import part_sizes
from bench.stack import Stack, generator, stack, work_folder
from cli.client import Client

SAMPLE_S: Final = 1.0
SAMPLE_S_MIN: Final = 0.1
SAMPLED_PER_S: Final = 20_000  # near the end the looks come closer: each is a count over all rows
WARM_EVENTS: Final = 200_000  # from here on memory has to be flat
RATE_LEAST: Final = 1_000  # below it a run is given up
LOOKS_MAX: Final = 20  # of the events of these looks, still on their way
SETTLE_S: Final = 60.0


@dataclass(slots=True)
class Course:
    """What was seen of each process while the load ran."""

    warm: dict[str, Usage] = field(default_factory=dict)
    memory: list[dict[str, float]] = field(default_factory=list)
    reached: list[tuple[float, int]] = field(default_factory=list)  # monotonic, stored


def run(*, count: int) -> Table:
    """Publish `count` events as fast as it goes and follow them until all are stored."""
    with work_folder() as folder:
        with stack(folder) as running:
            say(f"load: {count:,} events from publish to stored")
            with generator(Load(running.bootstrap, count)) as source:
                before = running.usage()
                source_before = usage(source.pid)
                source.begin()
                course = _follow(running, count)
                result = source.result()
                source_after = Usage(
                    source_before.cpu_s + result["cpu_s"], 0.0, result["peak_kib"] / 1024
                )
                after = running.usage() | {"load generator": source_after}
            client = running.client()
            ledger = client.get("/ledger")
            client.close()
        sizes = part_sizes(folder)
    took_s = course.reached[-1][0] - result["began"]
    before["load generator"] = source_before
    rows = _rows(course, before, after, count)
    total_us = sum(float(str(row["CPU µs an event"])) for row in rows)
    notes = [
        (
            f"{count / took_s:,.0f} events/s from the first publish to the last row"
            f" ({took_s:.1f} s; publishing took {result['took_s']:.1f} s of it),"
            f" {total_us:.1f} µs of CPU an event over all processes,"
            f" ledger difference {ledger['difference']},"
            f" {sizes['bytes_an_event']:.0f} bytes on disk an event."
        ),
    ]
    facts: dict[str, object] = {
        "events_per_s": count / took_s,
        "cpu_us": total_us,
        "reached": course.reached,
        "memory_mib": course.memory,
    }
    title = f"The whole path: {count:,} events, load generator and Kafka on the same cores"
    return Table("load", title, rows, notes, facts=facts)


def _follow(running: Stack, count: int) -> Course:
    """Sample until everything is stored."""
    course = Course()
    for pid in running.pids.values():
        forget_peak(pid)
    client = running.client()
    deadline = time.monotonic() + count / RATE_LEAST + SETTLE_S
    stored, told, looks = 0, 0, 0
    while stored < count - LOOKS_MAX:
        if time.monotonic() > deadline:
            raise SystemExit(f"only {stored:,} of {count:,} events were stored")
        stored = accounted(client) - looks  # each look is an event of its own
        looks += 1
        seen = running.usage()
        course.reached.append((time.monotonic(), stored))
        course.memory.append({name: use.rss_mib for name, use in seen.items()})
        if stored >= WARM_EVENTS and not course.warm:
            course.warm = seen
        if stored >= told:
            say(f"  {stored:>10,} stored")
            told += max(count // 10, 1)
        time.sleep(min(SAMPLE_S, max(SAMPLE_S_MIN, (count - stored) / SAMPLED_PER_S)))
    client.close()
    return course


def accounted(client: Client) -> int:
    """Return how many events are stored or quarantined."""
    ledger = client.get("/ledger")
    return int(ledger["stored"]) + int(ledger["quarantined"])


def _rows(
    course: Course, before: Mapping[str, Usage], after: Mapping[str, Usage], count: int
) -> Sequence[Row]:
    rows: list[Row] = []
    for name, use in after.items():
        warm = course.warm.get(name)
        rows.append(
            {
                "process": name,
                "CPU µs an event": round((use.cpu_s - before[name].cpu_s) / count * 1e6, 1),
                f"MiB at {WARM_EVENTS:,}": round(warm.rss_mib) if warm else None,
                "MiB at the end": round(use.rss_mib) or None,
                "peak MiB": round(use.peak_mib),
            }
        )
    return rows
