"""Alerts on real Kafka and a real store, to a webhook in this process: once, later, never twice."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from consumers.alerts.service import CONDITIONS, AlertService, run_alerts
from consumers.alerts.targets import parse_targets
from consumers.migrate import migrate
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


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('alerts')}") as opened:
        migrate(opened)
        yield opened


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


@pytest.fixture
async def topic(kafka: str, topic_name: str) -> str:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic_name, 2, 1)])
    await admin.close()
    return topic_name


async def test_an_alert_is_stored_and_delivered_once_however_often_it_comes(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    one, last, shown = alert(topic), alert(topic + "last"), list[str]()
    body = one.model_dump_json().encode()
    async with running(kafka, topic, store, webhook.url, shown=shown) as registry:
        await publish(kafka, topic, body, body, b"not an alert", None)
        await until(lambda: one.alert_id in webhook.ids)
        await publish(kafka, topic, body, last.model_dump_json().encode())
        await until(lambda: last.alert_id in webhook.ids)
        assert registry.get_sample_value("audit_alerts_unreadable_total") == 2
    assert sorted(webhook.ids) == sorted([one.alert_id, last.alert_id])
    assert stored(store, one) == 1
    name = "target-1:json"
    assert outcomes(store, one)[-1] == (name, 1, "delivered")
    assert [one.alert_id in line for line in shown] == [True, False]
    count = registry.get_sample_value("audit_alerts_delivery_seconds_count", {"target": name})
    assert count == 2


async def test_a_target_that_was_away_gets_its_alert_later_and_holds_up_no_other(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    other = Webhook()
    webhook.status = 503
    one = alert(topic)
    async with running(kafka, topic, store, f"away={webhook.url}", f"there={other.url}"):
        await publish(kafka, topic, one.model_dump_json().encode())
        await until(lambda: webhook.refused >= 1 and bool(other.got))
        webhook.status = 200
        await until(lambda: bool(webhook.got))
    assert webhook.ids == other.ids == [one.alert_id]
    assert outcomes(store, one)[-1] == ("there", 1, "delivered")
    away = [row[2] for row in outcomes(store, one) if row[0] == "away"]
    assert away[-1] == "delivered"
    assert set(away[:-1]) == {"failed"}
    other.server.shutdown()
    other.server.server_close()


async def test_a_restart_goes_on_with_what_was_left_and_repeats_nothing(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    done, left = alert(topic + "done"), alert(topic + "left")
    async with running(kafka, topic, store, webhook.url):
        await publish(kafka, topic, done.model_dump_json().encode())
        await until(lambda: bool(webhook.got))
        webhook.status = 500
        await publish(kafka, topic, left.model_dump_json().encode())
        await until(lambda: webhook.refused >= 1)
    webhook.status = 200
    # a new group reads the whole topic again, as after lost offsets
    late = Webhook()
    name = f"target-1:json={webhook.url}".replace("target-1:json=", "")
    async with running(kafka, topic, store, name, f"new={late.url}", group=f"again-{topic}"):
        await until(lambda: left.alert_id in webhook.ids)
        mark = alert(topic + "mark")
        await publish(kafka, topic, mark.model_dump_json().encode())
        await until(lambda: mark.alert_id in webhook.ids and mark.alert_id in late.ids)
    assert webhook.ids == [done.alert_id, left.alert_id, mark.alert_id]
    assert late.ids == [mark.alert_id]  # a new target hears nothing of before its time
    late.server.shutdown()
    late.server.server_close()


async def test_the_past_is_stored_and_never_paged(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    marked = alert(topic + "marked", historical=True)
    replayed = alert(topic + "old", recorded="2025-10-11T14:00:00.000Z")
    fresh, shown = alert(topic + "fresh"), list[str]()
    async with running(kafka, topic, store, webhook.url, shown=shown):
        values = [one.model_dump_json().encode() for one in (marked, replayed, fresh)]
        await publish(kafka, topic, *values)
        await until(lambda: bool(webhook.got))
    assert webhook.ids == [fresh.alert_id]
    assert stored(store, marked) == stored(store, replayed) == 1
    assert outcomes(store, replayed) == [("*", 0, "suppressed")]
    assert len(shown) == 1


async def test_hostile_text_arrives_as_text(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    nasty = (
        "\x1b[31m<script>x</script>\u202e @channel <!here> "
        "[a](https://evil.example) `x` \x00\r\nTo: x"
    )
    one = alert(topic, user=nasty[:256], summary=nasty, title=nasty, resource=nasty * 20)
    shown: list[str] = []
    async with running(kafka, topic, store, webhook.url, shown=shown):
        await publish(kafka, topic, one.model_dump_json().encode())
        await until(lambda: bool(webhook.got))
    (got,) = webhook.got
    for text in (got["title"], got["message"].replace("\n", ""), *shown):
        assert text.isprintable()
        for bad in ("<", ">", "`", "[a]", "https:", " @channel"):
            assert bad not in text
    assert len(got["message"]) <= 1_800
    assert f"Alert: {one.alert_id}" in got["message"]


async def test_no_log_line_tells_a_targets_url(
    kafka: str, topic: str, store: Store, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    webhook.status = 500
    async with running(kafka, topic, store, webhook.url):
        await publish(kafka, topic, alert(topic).model_dump_json().encode())
        await until(lambda: webhook.refused >= 1)
    assert "alert not delivered" in caplog.text
    assert "secret-path" not in caplog.text


CHILD = """
import asyncio, signal, sys
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from consumers.alerts.service import CONDITIONS, AlertService, run_alerts
from consumers.alerts.targets import parse_targets
from runtime.clickhouse import Store
from runtime.health import Readiness
kafka, topic, path, url = sys.argv[1:]
service = AlertService(bootstrap=kafka, store=Store("chdb://" + path),
    targets=parse_targets([SecretStr(url)]), registry=CollectorRegistry(),
    readiness=Readiness(CONDITIONS), group="group-" + topic, topic=topic, show=print)
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_alerts(service, stop)
asyncio.run(main())
"""


def child(kafka: str, topic: str, path: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, kafka, topic, str(path), url]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An own store with tables: made elsewhere, as this process has one open already."""
    program = (
        "import sys; from consumers.migrate import migrate; from runtime.clickhouse import Store; "
        "migrate(Store('chdb://' + sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "store")], check=True)
    return tmp_path / "store"


def counted(path: Path) -> list[int]:
    program = (
        "import sys; from runtime.clickhouse import Store; print(Store('chdb://' + sys.argv[1])"
        ".query_rows('SELECT count(), uniqExact(alert_id) FROM alerts FINAL')[0])"
    )
    command = [sys.executable, "-c", program, str(path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [int(number) for number in told.strip("()\n").split(",")]


async def test_a_kill_between_attempt_and_record_sends_once_more(
    kafka: str, topic: str, path: Path, webhook: Webhook
) -> None:
    webhook.holds.clear()  # the request is taken, its answer kept back
    one, following = alert(topic), alert(topic + "following")
    first = child(kafka, topic, path, webhook.url)
    try:
        await publish(kafka, topic, one.model_dump_json().encode())
        await until(lambda: webhook.ids == [one.alert_id])
    finally:
        first.kill()
        first.wait(10)
    webhook.holds.set()
    second = child(kafka, topic, path, webhook.url)
    try:
        await publish(kafka, topic, following.model_dump_json().encode())
        await until(lambda: len(webhook.ids) == 3)
    finally:
        second.terminate()  # what was sent last may not be written yet
        second.wait(10)
    assert sorted(webhook.ids) == sorted([one.alert_id, one.alert_id, following.alert_id])
    assert counted(path) == [2, 2]


async def test_kills_under_load_lose_no_alert(
    kafka: str, topic: str, path: Path, webhook: Webhook
) -> None:
    alerts = [alert(f"{topic}{number}") for number in range(30)]
    kills = 0
    service = child(kafka, topic, path, webhook.url)
    try:
        for number, one in enumerate(alerts):
            await publish(kafka, topic, one.model_dump_json().encode())
            if number in (3, 17):
                await until(lambda: bool(webhook.got))
                service.kill()
                service.wait(10)
                kills += 1
                service = child(kafka, topic, path, webhook.url)
        wanted = {one.alert_id for one in alerts}
        await until(lambda: wanted <= set(webhook.ids))
    finally:
        service.terminate()
        service.wait(10)
    assert set(webhook.ids) == wanted
    assert max(map(webhook.ids.count, wanted)) <= 1 + kills
    assert counted(path) == [30, 30]


async def test_a_service_that_is_cancelled_or_stopped_ends_with_kafka_away(store: Store) -> None:
    def service() -> AlertService:
        return AlertService(
            bootstrap="127.0.0.1:9",
            store=store,
            targets=parse_targets([SecretStr("json://127.0.0.1:9/x")]),
            registry=CollectorRegistry(),
            readiness=Readiness(CONDITIONS),
        )

    stop = asyncio.Event()
    stopped = asyncio.create_task(run_alerts(service(), stop))
    cancelled = asyncio.create_task(run_alerts(service(), asyncio.Event()))
    await asyncio.sleep(1.2)  # past the moment at which idle workers wake and wait again
    stop.set()
    cancelled.cancel()
    done, _ = await asyncio.wait({stopped, cancelled}, timeout=20)
    assert done == {stopped, cancelled}
    assert cancelled.cancelled()
    assert stopped.exception() is None


async def test_a_delivery_under_way_is_recorded_before_an_orderly_end(
    kafka: str, topic: str, store: Store, webhook: Webhook
) -> None:
    webhook.holds.clear()
    one = alert(topic)
    async with running(kafka, topic, store, webhook.url):
        await publish(kafka, topic, one.model_dump_json().encode())
        await until(lambda: bool(webhook.got))
        asyncio.get_running_loop().call_later(0.5, webhook.holds.set)
    assert outcomes(store, one)[-1] == ("target-1:json", 1, "delivered")
