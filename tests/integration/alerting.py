"""Alerts for the tests of their service: who gets them, how they come, what is known of them."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from consumers.alerts.service import CONDITIONS, AlertService, run_alerts
from consumers.alerts.targets import parse_targets
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from runtime.health import Readiness
from schemas.alert import Alert, alert_id

DEADLINE_S = 60.0


class Webhook:
    """A receiver that remembers what it got, and can be told to refuse."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.refused = 0
        self.status = 200
        self.holds = threading.Event()
        self.holds.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if outer.status == 200:
                    outer.got.append(json.loads(body))
                else:
                    outer.refused += 1
                outer.holds.wait(DEADLINE_S)
                with contextlib.suppress(OSError):  # who asked may be dead
                    self.send_response(outer.status)
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def ids(self) -> list[str]:
        return [one["alert_id"] for one in self.got]


@contextlib.contextmanager
def receiving() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def now() -> str:
    moment = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def alert(name: str, **fields: Any) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": alert_id("rule", 1, name, "x"),
            "rule_id": "rule",
            "rule_version": 1,
            "title": "Admin login failed",
            "severity": "high",
            "tenant": "default",
            "group": name,
            "summary": "admin failed to log in",
            "user": "admin",
            "occurred": now(),
            "recorded": now(),
        }
        | fields
    )


async def make_topic(kafka: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    await admin.close()


async def publish(kafka: str, topic: str, *values: bytes | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, key=b"k")


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.02)


def outcomes(store: Store, of: Alert) -> list[tuple[str, int, str]]:
    rows = store.query_rows(
        "SELECT target, attempt, toString(outcome) FROM deliveries WHERE alert_id = {id:String} "
        "ORDER BY target, attempt",
        {"id": of.alert_id},
    )
    return [(target, attempt, outcome) for target, attempt, outcome in rows]


def stored(store: Store, of: Alert) -> int:
    sql = "SELECT count() FROM alerts FINAL WHERE alert_id = {id:String}"
    return int(store.query_rows(sql, {"id": of.alert_id})[0][0])


@contextlib.asynccontextmanager
async def running(
    kafka: str, topic: str, store: Any, *urls: str, group: str = "", shown: list[str] | None = None
) -> AsyncIterator[CollectorRegistry]:
    stop, registry = asyncio.Event(), CollectorRegistry()
    readiness = Readiness(CONDITIONS)
    service = AlertService(
        bootstrap=kafka,
        store=store,
        targets=parse_targets([SecretStr(url) for url in urls]),
        registry=registry,
        readiness=readiness,
        group=group or f"group-{topic}",
        topic=topic,
        show=(shown if shown is not None else []).append,
    )
    task = asyncio.create_task(run_alerts(service, stop))
    try:
        await until(lambda: readiness.is_ready or task.done())
        yield registry
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)
