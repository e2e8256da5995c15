"""The load: a process that publishes through our SDK, paced or as fast as it goes."""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from bench.load import Message, events
from producers.publisher import Publisher
from schemas.errors import AuditError

CHUNK: Final = 5_000
PROBE_SESSION: Final = "bench-probe"


@dataclass(frozen=True, slots=True)
class Load:
    """What to publish; `rate` 0 is as fast as the broker takes it.

    Each `probe_every`th event bears the probes' session and, in its id, its number among them
    and when it was sent (monotonic ns); each `alert_every`th is one that raises an alert, and
    says the same in its session.
    """

    bootstrap: str
    count: int
    rate: int = 0
    size_bytes: int = 1_000
    probe_every: int = 0
    alert_every: int = 0

    def argument(self) -> str:
        """Return it as the one argument of the command."""
        return json.dumps(asdict(self))


def now() -> str:
    """Return the time as an event has it."""
    moment = datetime.fromtimestamp(time.time_ns() / 1e9, UTC)
    return moment.isoformat(timespec="microseconds")


async def flood(load: Load, publisher: Publisher) -> None:
    """Publish in long lists; the publisher's buffer holds us back."""
    messages = events(load.count, load.size_bytes)
    for _ in range(0, load.count, CHUNK):
        outcomes = await publisher.publish_many_bytes(islice(messages, CHUNK))
        bad = [outcome for outcome in outcomes if isinstance(outcome, AuditError)]
        if bad:
            raise bad[0]


async def pace(load: Load, publisher: Publisher) -> list[float]:
    """Publish one by one at an even rate, as services do; return each one's wait in ms."""
    waits: list[float] = []

    async def send(message: Message) -> None:
        begun = time.monotonic_ns()
        await publisher.publish_bytes(*message)
        waits.append((time.monotonic_ns() - begun) / 1e6)

    tasks: set[asyncio.Task[None]] = set()
    started = time.monotonic()
    for number, message in enumerate(_messages(load)):
        due = started + number / load.rate
        if (early := due - time.monotonic()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(send(message))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if number % 50 == 0:
            await asyncio.sleep(0)  # when late: let what was made go out
    await asyncio.gather(*tasks)
    return waits


def _messages(load: Load) -> Iterator[Message]:
    probes = 0
    for number, (raw, key) in enumerate(events(load.count, load.size_bytes)):
        if load.probe_every and number % load.probe_every == 0:
            yield probe(probes, load.size_bytes)
            probes += 1
        elif load.alert_every and number % load.alert_every == 1:
            yield alarming()
        else:
            yield raw, key  # of the past: what its few attacks raise is stored and pages nobody


def probe(number: int, size_bytes: int) -> Message:
    """Make an event that the measuring side looks for."""
    event = {
        "timestamp": now(),
        "event_id": f"probe-{number}-{time.monotonic_ns()}",
        "user": f"probe{number % 16}@company.com",  # on every partition
        "action": "api.request.completed",
        "session_id": PROBE_SESSION,
        "details": {"note": "n" * max(0, size_bytes - 250)},
    }
    return json.dumps(event).encode(), f"default/{event['user']}".encode()


def alarming() -> Message:
    """Make an event on which a detection fires at any hour."""
    sent = time.monotonic_ns()
    event = {
        "timestamp": now(),
        "event_id": f"alert-{sent}",
        "user": f"owner{sent}@company.com",  # a repeat by the same one pages nobody
        "action": "permission.role.granted",
        "resource": "user_accounts",
        "session_id": f"bench-{sent}",
        "details": {"role": "admin"},
    }
    return json.dumps(event).encode(), f"default/{event['user']}".encode()


async def main() -> None:
    """Publish it all and print what it took."""
    load = Load(**json.loads(sys.argv[1]))
    print("ready", flush=True)
    if not sys.stdin.readline():
        return  # nobody waits for it any more
    waits: list[float] = []
    begun, cpu_s = time.monotonic(), time.process_time()
    async with Publisher(load.bootstrap) as publisher:
        if load.rate:
            waits = await pace(load, publisher)
        else:
            await flood(load, publisher)
    took_s = time.monotonic() - begun
    found: dict[str, object] = {
        "began": begun,
        "took_s": took_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    if waits:
        found["waits_ms"] = waits
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
