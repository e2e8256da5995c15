"""A sink as a process of its own, for tests that kill it: settings as JSON in argv[1]."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from prometheus_client import CollectorRegistry

from consumers.sink.batch import Limits
from consumers.sink.consumer import SinkConfig
from consumers.sink.service import CONDITIONS, SinkService
from consumers.sink.writer import Fault, Timing
from runtime.clickhouse import Store
from runtime.health import Readiness
from runtime.log import configure
from runtime.retry import Backoff

QUICK: dict[str, Any] = {
    "rows_max": 500,
    "bytes_max": 4_194_304,
    "age_ms_max": 50,
    "deadline_s": 20,
    "insert_timeout_s": 5.0,
    "session_timeout_ms": 1_500,
    "heartbeat_ms": 300,
    "memory_bytes_max": 16_777_216,
    "kill_at": "",  # "point:n": SIGKILL at the n-th time the point is reached
    "sink": "sink-1",
}


def config_of(told: dict[str, Any]) -> SinkConfig:
    """Build the sink's settings: quick ones, changed by what is told."""
    asked = QUICK | told
    timing = Timing(
        Limits(asked["rows_max"], asked["bytes_max"], asked["age_ms_max"]),
        asked["deadline_s"],
        asked["insert_timeout_s"],
        0.1,
        Backoff(0.05, 0.5),
    )
    return SinkConfig(
        bootstrap=asked["bootstrap"],
        group=asked["group"],
        sink=asked["sink"],
        records_topic=asked["records_topic"],
        events_topic=asked["events_topic"],
        timing=timing,
        memory_bytes_max=asked["memory_bytes_max"],
        session_timeout_ms=asked["session_timeout_ms"],
        heartbeat_ms=asked["heartbeat_ms"],
        rebalance_timeout_ms=5_000,
        drain_s=2.0,
    )


def killer(kill_at: str) -> Fault:
    """Return a fault that kills this process at one moment, as a power cut would."""
    wanted, _, number = kill_at.partition(":")
    seen = 0

    async def fault(point: str, partition: int) -> None:  # noqa: ARG001 - any partition will do
        nonlocal seen
        if point == wanted:
            seen += 1
            if seen == int(number or 1):
                os.kill(os.getpid(), signal.SIGKILL)

    return fault


async def serve(told: dict[str, Any]) -> None:
    """Run until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    with Store(told["dsn"], timeout_s=5.0) as store:
        readiness = Readiness(CONDITIONS)
        service = SinkService(
            config_of(told),
            store,
            CollectorRegistry(),
            readiness,
            reconcile_every_s=1.0,
            fault=killer(told.get("kill_at", "")),
        )
        await service.run(stopping)


if __name__ == "__main__":
    configure("sink", "info")
    asyncio.run(serve(json.loads(sys.argv[1])))
