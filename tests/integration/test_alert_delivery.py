"""Deliveries on real Kafka, a real store and a webhook that refuses, hangs or is gone."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from datetime import time as time_of
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from cli.alert_desk import change_writer
from console.alerts.changes import AlertChange
from consumers.alerts.quiet import QuietHours
from consumers.alerts.routing import Escalation, Match, Route, Routing
from consumers.alerts.service import CONDITIONS, AlertService, Policy, run_alerts
from consumers.alerts.targets import parse_targets
from consumers.alerts.throttle import Rate
from consumers.migrate import migrate
from runtime.clickhouse import Store
from runtime.clock import SystemClock
from runtime.health import Readiness
from schemas.alert import Alert
from tests.unit.consumers.alerts.making import at, make

DEADLINE_S = 60.0
SECRET = "whisper"


class Hook:
    """A receiver that checks signatures, and does what it is told to do wrong."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.asked = 0
        self.status = 200
        self.hangs = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.asked += 1
                if outer.hangs.is_set():
                    time.sleep(1.0)
                    self.close_connection = True
                    return
                if outer.status == 200:
                    assert is_signed(self.headers["Audit-Stream-Signature"], body)
                    outer.keys.append(self.headers["Idempotency-Key"])
                    outer.got.append(json.loads(body))
                with contextlib.suppress(OSError):
                    self.send_response(outer.status)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"webhook://127.0.0.1:{self.server.server_port}/secret-path?a=b"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def ids(self) -> list[str]:
        return [alert["alert_id"] for message in self.got for alert in message["alerts"]]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def is_signed(header: str, body: bytes) -> bool:
    """Verify a signature as docs/alerts.md tells receivers to."""
    parts = dict(part.split("=", 1) for part in header.split(","))
    wanted = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256)
    is_fresh = abs(time.time() - int(parts["t"])) < 300
    return is_fresh and hmac.compare_digest(wanted.hexdigest(), parts["v1"])


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture
def boss() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('deliveries')}") as opened:
        migrate(opened)
        yield opened


@pytest.fixture
async def topic(kafka: str, topic_name: str) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic_name, 1, 1)])
    await admin.close()
    return topic_name


def alert(name: str, **fields: Any) -> Alert:
    now = at(SystemClock().now_ms())
    return make(name, **{"recorded": now, "occurred": now} | fields)


async def publish(kafka: str, topic: str, *alerts: Alert) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for one in alerts:
            await producer.send(topic, one.model_dump_json().encode())


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.02)


def rows_of(store: Store, one: Alert) -> list[tuple[str, str, str]]:
    rows = store.query_rows(
        "SELECT target, toString(outcome), error FROM deliveries WHERE alert_id = {id:String} "
        "ORDER BY attempt, at",
        {"id": one.alert_id},
    )
    return [(target, outcome, error) for target, outcome, error in rows]


@contextlib.asynccontextmanager
async def running(
    kafka: str, topic: str, store: Store, policy: Policy, *urls: str
) -> AsyncIterator[None]:
    stop, readiness = asyncio.Event(), Readiness(CONDITIONS)
    service = AlertService(
        bootstrap=kafka,
        store=store,
        targets=parse_targets([SecretStr(url) for url in urls], SecretStr(SECRET)),
        registry=CollectorRegistry(),
        readiness=readiness,
        group=f"group-{topic}",
        topic=topic,
        show=lambda _line: None,
        policy=policy,
    )
    task = asyncio.create_task(run_alerts(service, stop))
    try:
        await until(lambda: readiness.is_ready or task.done())
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


def to_all(*names: str, **fields: Any) -> Policy:
    return Policy(Routing((Route("all", names),), **fields))


async def test_a_target_that_refuses_then_hangs_then_is_back_gets_it_once_signed(
    kafka: str, topic: str, store: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.alerts.webhook.TIMEOUT_S", 0.3)
    one = alert(topic, why="It opens every door.", user="jane")
    hook.status = 500
    async with running(kafka, topic, store, to_all("hook"), f"hook={hook.url}"):
        await publish(kafka, topic, one)
        await until(lambda: hook.asked >= 1)
        hook.hangs.set()
        await until(lambda: hook.asked >= 2)
        hook.status = 200
        hook.hangs.clear()
        await until(lambda: bool(hook.got))
    assert hook.ids == hook.keys == [one.alert_id]
    (message,) = hook.got
    assert (message["kind"], message["version"], message["count"]) == ("alert", 1, 1)
    assert "Why it matters: It opens every door." in message["text"]
    outcomes = [outcome for _, outcome, _ in rows_of(store, one)]
    assert outcomes[-1] == "delivered"
    assert outcomes.count("failed") >= 2


async def test_a_flood_is_told_in_one_message_that_counts_even_over_a_restart(
    kafka: str, topic: str, store: Store, hook: Hook
) -> None:
    alerts = [alert(f"{topic}{n}", user=f"u{n}", rule_id="flood") for n in range(40)]
    policy = to_all("hook", rule_rate=Rate(30, 3))  # a message each two seconds
    async with running(kafka, topic, store, policy, f"hook={hook.url}"):
        await publish(kafka, topic, *alerts)
        await until(lambda: len(hook.got) >= 3)
        await until(lambda: "deferred" in {row[1] for row in rows_of(store, alerts[-1])})
    async with running(kafka, topic, store, policy, f"hook={hook.url}"):
        await until(lambda: len(set(hook.ids)) == 40)
    assert len(hook.ids) == 40, "nothing twice"
    assert len(hook.got) <= 8
    digest = max(hook.got, key=lambda message: int(message["count"]))
    assert digest["kind"] == "digest"
    assert f"{digest['count']} alerts" in digest["title"]
    assert f"{digest['count']} x HIGH: Admin login failed" in digest["text"]
    assert rows_of(store, alerts[-1])[-1] == ("hook", "delivered", "throttled")


async def acknowledge(store: Store, one: Alert, status: str = "acknowledged") -> None:
    now_ms = SystemClock().now_ms()
    change = AlertChange(f"c{now_ms}", one.alert_id, "default", now_ms, "ann", "status", "", status)
    await change_writer(store)([change])


async def test_who_is_next_hears_only_of_what_nobody_acknowledged(
    kafka: str, topic: str, store: Store, hook: Hook, boss: Hook
) -> None:
    taken, left = alert(f"{topic}taken"), alert(f"{topic}left")
    route = Route("all", ("hook",), escalation=Escalation(2_000, ("boss",)))
    urls = (f"hook={hook.url}", f"boss={boss.url}")
    async with running(kafka, topic, store, Policy(Routing((route,))), *urls):
        await publish(kafka, topic, taken, left)
        await until(lambda: len(hook.got) == 2)
        await acknowledge(store, taken)
        await until(lambda: bool(boss.got))
        await until(lambda: ("boss", "suppressed", "acknowledged") in rows_of(store, taken))
    assert boss.ids == [left.alert_id]
    assert boss.got[0]["kind"] == "escalation"
    assert "Nobody has acknowledged it yet" in boss.got[0]["text"]


async def test_repeats_are_counted_and_page_again_once_the_matter_was_closed(
    kafka: str, topic: str, store: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.alerts.service.WATCH_S", 0.1)
    first, *more = (alert(f"{topic}{n}", group=f"user={topic}") for n in range(4))
    async with running(kafka, topic, store, to_all("hook"), f"hook={hook.url}"):
        await publish(kafka, topic, first, more[0])
        await until(lambda: bool(rows_of(store, more[0])))
        assert hook.ids == [first.alert_id]
    async with running(kafka, topic, store, to_all("hook"), f"hook={hook.url}"):
        await publish(kafka, topic, more[1])  # the group is known after a restart
        await until(lambda: bool(rows_of(store, more[1])))
        assert rows_of(store, more[1]) == [("*", "suppressed", "repeat")]
        await acknowledge(store, first, "resolved")
        await asyncio.sleep(0.5)  # some looks at what people said
        await publish(kafka, topic, more[2])
        await until(lambda: len(hook.got) == 2)
    assert hook.ids == [first.alert_id, more[2].alert_id]
    sql = "SELECT uniqExact(alert_id) FROM alerts WHERE lead_id = {id:String}"
    assert store.query_rows(sql, {"id": first.alert_id}) == [(3,)]


async def test_what_is_held_for_long_waits_in_the_store_and_holds_up_no_page(
    kafka: str, topic: str, store: Store, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.alerts.courier.QUEUE_MAX", 3)
    monkeypatch.setattr("consumers.alerts.service.QUEUE_MAX", 3)
    monkeypatch.setattr("consumers.alerts.service.SWEEP_S", 0.2)
    for module in ("courier", "service"):
        monkeypatch.setattr(f"consumers.alerts.{module}.SOON_MS", 300)
    low = [alert(f"{topic}{n}", severity="low", user=f"u{n}") for n in range(5)]
    page = alert(f"{topic}page", severity="critical")
    now = datetime.fromtimestamp(SystemClock().now_ms() / 1000 + 4, UTC)
    severe = Match(severities=frozenset({"critical"}))
    ends = now.time().replace(microsecond=0)
    quiet = QuietHours(time_of(hour=(now.hour + 2) % 24), ends, UTC)
    routes = (Route("page", ("hook",), severe), Route("low", ("hook",), quiet=quiet))
    async with running(kafka, topic, store, Policy(Routing(routes)), f"hook={hook.url}"):
        await publish(kafka, topic, *low, page)
        await until(lambda: bool(hook.got))
        assert hook.ids == [page.alert_id]
        await until(lambda: len(hook.ids) == 6)
    assert sorted(hook.ids) == sorted(one.alert_id for one in (*low, page))
    assert {row[1:] for row in rows_of(store, low[0])} == {
        ("deferred", "quiet"),
        ("delivered", "quiet"),
    }
