"""A service that publishes numbered events as fast as it is let, and notes each acknowledged one.

Run as a process, so that a test can kill it: `load.py BOOTSTRAP RUN ACKED_FILE RATE_PER_S`.
"""

import asyncio
import itertools
import os
import sys
import time
from typing import Any

from producers.lane import Receipt
from producers.publisher import Publisher

BATCH = 50
USERS = 24
ALERT_EVERY = 40  # every so many events one is a failed login of an administrator
HOSTILE_EVERY = 60  # every so many messages one is no event


def event(run: str, number: int) -> dict[str, Any]:
    """Return the event of that number, as of now: unique, some of them alarming."""
    is_alarming = number % ALERT_EVERY == 0
    outcome = "failure" if is_alarming else "success"
    return {
        "event_id": f"{run}-{number}",
        # of now: rules with a memory leave out what is older than their grace
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "user": "admin@company.com" if is_alarming else f"user{number % USERS}@company.com",
        "role": "admin" if is_alarming else "agent",
        "action": f"authentication.login.{outcome}",
        "ip_address": "203.0.113.42",
        "session_id": f"sess_{number % USERS}",
        "details": {"number": number, "run": run},
    }


async def main(bootstrap: str, run: str, acked_file: str, rate_per_s: float) -> None:
    """Publish until killed; a line of the file is "event_id partition offset"."""
    acked = os.open(acked_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began, sent = time.monotonic(), 0
    async with Publisher(bootstrap, deadline_s=120) as publisher:
        for first in itertools.count(0, BATCH):
            events = [event(run, number) for number in range(first, first + BATCH)]
            outcomes = await publisher.publish_many(events)
            lines = [
                f"{e['event_id']} {o.partition} {o.offset}\n"
                for e, o in zip(events, outcomes, strict=True)
                if isinstance(o, Receipt)
            ]
            os.write(acked, "".join(lines).encode())
            sent += BATCH
            ahead_s = sent / rate_per_s - (time.monotonic() - began)
            await asyncio.sleep(max(0.0, ahead_s))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
