"""Alerts on real Kafka and a real store, to a webhook in this process: once, later, never twice."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from consumers.alerts.service import CONDITIONS, AlertService, run_alerts
from consumers.alerts.targets import parse_targets
from consumers.migrate import migrate
from runtime.clickhouse import Store
from runtime.health import Readiness
from tests.integration.alerting import (
    Webhook,
    alert,
    make_topic,
    outcomes,
    publish,
    receiving,
    running,
    stored,
    until,
)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with receiving() as hook:
        yield hook


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('alerts')}") as opened:
        migrate(opened)
        yield opened


@pytest.fixture
async def topic(kafka: str, topic_name: str) -> str:
    await make_topic(kafka, topic_name)
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
