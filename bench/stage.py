"""Stage 1 alone, on one thread: µs an event and events/s, against pydantic's model round trip."""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import orjson

from detections.builtin import builtin_rules
from pipeline.client import ClientParser
from pipeline.enrich import Lookups
from pipeline.geo import open_geo
from pipeline.policy import parse_policy
from pipeline.run import Output, Run
from pipeline.stage import Stage
from schemas.actions import ACTIONS
from schemas.event import Event

POLICY = Path(__file__).parent.parent / "pipeline" / "policy.yml"
T = TypeVar("T")

RECORDED_MS = 1_760_108_400_000  # 2025-10-10T15:00Z, a Friday
AGENTS = (
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/{}.0.0.0 Safari/537.36"
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS {}_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
    ),
    "dutycall-sdk/{}.2 (service=voice)",
)
# most of a platform's day is harmless: of 10,000 events a few raise an alert
RUN = 500  # records of one fetch
WEIGHTS = {"info": 100.0, "low": 10.0, "medium": 1.0, "high": 0.2, "critical": 0.1}


class Raw(NamedTuple):
    """What the stage reads of a Kafka record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def make_events(count: int, size: int, seed: int) -> list[bytes]:
    """Make events of about `size` bytes, mostly harmless, the same for the same seed."""
    random_ = random.Random(seed)
    actions = sorted(ACTIONS)
    weights = [WEIGHTS[ACTIONS[action].severity] for action in actions]
    events = []
    for number in range(count):
        event = {
            "timestamp": f"2025-10-10T14:{random_.randrange(60):02}:{random_.randrange(60):02}Z",
            "event_id": f"{random_.getrandbits(128):032x}",
            "tenant": "default",
            "user": f"user{random_.randrange(2000)}@company.com",
            "role": random_.choice(("agent",) * 30 + ("supervisor",) * 9 + ("admin",)),
            "action": random_.choices(actions, weights)[0],
            "resource": random_.choice(("voice_recordings", "voice_call_records", "schedule")),
            "resource_id": f"r-{random_.randrange(10**9)}",
            "ip_address": f"{random_.randrange(11, 200)}.7.{random_.randrange(256)}.9",
            "user_agent": random_.choice(AGENTS).format(random_.randrange(90, 130)),
            "session_id": f"sess_{random_.getrandbits(64):016x}",
            "request_id": f"req_{random_.getrandbits(64):016x}",
            "source": "voice-gateway",
            "details": {
                "method": "sso",
                "caller": f"+1555{random_.randrange(10**7):07}",
                "duration_s": random_.randrange(3600),
                "queue": "support",
                "note": "",
            },
        }
        if number % 20 == 0:
            event["details"]["before"], event["details"]["after"] = "90 days", "180 days"  # type: ignore[index]
        missing = size - len(orjson.dumps(event))
        event["details"]["note"] = "lorem ipsum dolor sit amet "[: max(missing, 0)] * (  # type: ignore[index]
            max(missing, 0) // 27 + 1
        )
        events.append(orjson.dumps(event))
    return events


def best_us(
    work: Callable[[Sequence[T]], object], chunks: Sequence[Sequence[T]], rounds: int
) -> tuple[float, float]:
    """Return the least and the median µs an event over all chunks and rounds (CPU time)."""
    times = []
    for _ in range(rounds):
        for chunk in chunks:
            begun = time.process_time()
            work(chunk)
            times.append((time.process_time() - begun) / len(chunk) * 1e6)
    return min(times), statistics.median(times)


def round_trip(events: Sequence[bytes]) -> None:
    for raw in events:
        Event.model_validate_json(raw).model_dump_json()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    events = make_events(asked.count, asked.size, asked.seed)
    policy = parse_policy(POLICY.name, POLICY.read_bytes())
    lookups = Lookups(policy, open_geo(), ClientParser())
    stage = Stage(lookups, builtin_rules(), lambda _topic: "mXvG0bqmS5e4fXk6yBHzVA")
    raws = [Raw(at, RECORDED_MS + at // 100, b"key", raw) for at, raw in enumerate(events)]
    chunks = [raws[at : at + RUN] for at in range(0, len(raws), RUN)]

    def work(chunk: Sequence[Raw]) -> Output:
        return stage(Run("audit.events", 0, chunk[0].offset, chunk))

    if asked.profile:
        import cProfile  # noqa: PLC0415 - only when asked

        cProfile.runctx(
            "[work(chunk) for chunk in chunks]", {"work": work, "chunks": chunks}, {}, sort=1
        )
        return
    size = sum(map(len, events)) / len(events)
    first = best_us(work, chunks, 1)[1]
    ours = best_us(work, chunks, asked.rounds)
    theirs = best_us(
        round_trip, [events[at : at + RUN] for at in range(0, len(raws), RUN)], asked.rounds
    )
    out = [work(chunk) for chunk in chunks]
    line_size = sum(len(record.value) for output in out for record in output.records) / asked.count
    print(f"{asked.count} events of {size:.0f} B -> lines of {line_size:.0f} B,", end=" ")
    print(f"{sum(len(output.alerts) for output in out)} alerts, first pass {first:.1f} µs")
    print("| what | µs an event, least | median | events/s |\n|---|---|---|---|")
    for name, (least, median) in (
        ("stage 1, all on", ours),
        ("pydantic model, validate and dump", theirs),
    ):
        print(f"| {name} | {least:.1f} | {median:.1f} | {1e6 / median:,.0f} |")


if __name__ == "__main__":
    main()
