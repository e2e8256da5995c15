"""`audit topics` and `audit migrate` against a real broker and a real store."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from runtime.broker import EmbeddedKafka
from runtime.broker_wait import Wanted, wait_for_broker
from runtime.ports import free_port
from runtime.settings import KafkaSettings
from schemas.errors import Misconfigured
from tests.stack import COMMAND


def audit(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with settings in its environment."""
    return subprocess.run(
        [*COMMAND, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_topics_are_made_once_and_then_verified(kafka: str) -> None:
    assert audit("topics", AUDIT_KAFKA_BOOTSTRAP=kafka).returncode == 0
    for options in ([], ["--verify"]):
        done = audit("topics", *options, AUDIT_KAFKA_BOOTSTRAP=kafka)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [
            f"audit.{name}: as it must be, 4 partitions"
            for name in ("events", "records", "alerts", "signals", "state")
        ]


def test_topic_with_another_setting_is_named_and_left_alone(kafka: str) -> None:
    assert audit("topics", AUDIT_KAFKA_BOOTSTRAP=kafka).returncode == 0
    done = audit("topics", AUDIT_KAFKA_BOOTSTRAP=kafka, AUDIT_KAFKA_PARTITIONS="8")
    assert done.returncode == 1
    assert "audit.events: WRONG, 4 partitions" in done.stdout
    assert "audit.events: partitions is 4, must be 8" in done.stderr


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[str]:
    """A broker whose topics may be altered."""
    broker = EmbeddedKafka(tmp_path / "kafka")
    broker.start()
    try:
        yield broker.bootstrap
    finally:
        broker.stop()


async def grow(kafka: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        await admin.close()


def test_records_are_grown_after_events_and_more_partitions_are_no_fault(own_kafka: str) -> None:
    kafka = {"AUDIT_KAFKA_BOOTSTRAP": own_kafka}
    assert audit("topics", **kafka).returncode == 0
    asyncio.run(grow(own_kafka, "audit.events", 6))
    settings = KafkaSettings(bootstrap=own_kafka)
    wanted = Wanted(("audit.events", "audit.records"), is_records_large=True)
    with pytest.raises(Misconfigured, match=r"audit\.events has 6 .*audit\.records only 4: run"):
        asyncio.run(wait_for_broker(settings, wanted, lambda _what: None))

    found = audit("topics", "--verify", **kafka)
    assert found.returncode == 1
    assert found.stderr.splitlines() == ["audit.records: partitions is 4, must be 6"]
    done = audit("topics", **kafka)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "audit.events: as it must be, 6 partitions, 2 more than AUDIT_KAFKA_PARTITIONS",
        "audit.records: as it must be, grown, 6 partitions, 2 more than AUDIT_KAFKA_PARTITIONS",
        *(f"audit.{name}: as it must be, 4 partitions" for name in ("alerts", "signals", "state")),
    ]
    asyncio.run(grow(own_kafka, "audit.signals", 5))
    done = audit("topics", **kafka)
    assert "audit.state: as it must be, grown, 5 partitions, 1 more" in done.stdout
    assert audit("topics", "--verify", **kafka).returncode == 0
    assert asyncio.run(wait_for_broker(settings, wanted, lambda _what: None))


def test_broker_that_is_away_is_told_in_one_line() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = audit("topics", AUDIT_KAFKA_BOOTSTRAP=address)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert address in done.stderr


def test_tables_are_made_once(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path / 'store'}"
    first, again = (audit("migrate", AUDIT_STORE_DSN=dsn) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "applied" in first.stdout
    assert "applied" not in again.stdout
    assert first.stdout.count("\n") == again.stdout.count("\n")


@pytest.mark.parametrize(
    ("command", "name", "value", "told"),
    [
        pytest.param("migrate", "AUDIT_STORE_DSN", "postgres://x", "must begin with", id="dsn"),
        pytest.param("migrate", "AUDIT_STORE_DSN", "chdb:///proc/x", "/proc/x", id="folder"),
        pytest.param("migrate", "AUDIT_STORE_DNS", "x", "mean AUDIT_STORE_DSN", id="store name"),
        pytest.param("topics", "AUDIT_KAFKA_BOOTSTRAP", "nonsense", "pattern", id="address"),
        pytest.param("topics", "AUDIT_KAFKA_BOTSTRAP", "x:1", "mean AUDIT_KAFKA", id="kafka name"),
    ],
)
def test_wrong_setting_ends_with_status_2_by_name(
    command: str, name: str, value: str, told: str
) -> None:
    done = audit(command, **{name: value})
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
