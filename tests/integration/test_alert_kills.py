"""A service of alerts that is killed: no alert is lost, and one comes again at most once a kill."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.alerting import Webhook, alert, make_topic, publish, receiving, until


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with receiving() as hook:
        yield hook


@pytest.fixture
async def topic(kafka: str, topic_name: str) -> str:
    await make_topic(kafka, topic_name)
    return topic_name


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
