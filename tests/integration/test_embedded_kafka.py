"""What we believe of the embedded Kafka, held against the real one."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from runtime.broker import EmbeddedKafka
from runtime.jars import read_lock
from runtime.kafka_release import metadata_level, release_of
from runtime.processes import command_line, is_running
from runtime.topics import delete_topics, end_offsets, ensure_topics, topic_ids
from schemas.errors import BrokerUnavailable, Misconfigured
from schemas.topics import TopicSpec

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


def spec(name: str, partitions: int = 2, **config: str) -> TopicSpec:
    settings = {key.replace("_", "."): value for key, value in config.items()}
    return TopicSpec(name, partitions, 1, settings)


async def publish(bootstrap: str, topic: str, values: list[bytes], partition: int = 0) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all"
    ) as producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition, timestamp_ms=1_000)


async def read(bootstrap: str, topic: str, count: int) -> list[tuple[bytes | None, int, int]]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        where = TopicPartition(topic, 0)
        consumer.assign([where])
        await consumer.seek_to_beginning(where)
        async with asyncio.timeout(20):
            got = [await consumer.getone() for _ in range(count)]
        return [(record.value, record.timestamp, record.timestamp_type) for record in got]


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker that this test may kill."""
    broker = EmbeddedKafka(tmp_path / "kafka")
    yield broker
    broker.kill()


async def test_a_missing_topic_is_made_with_its_settings(kafka: str, topic_name: str) -> None:
    wanted = spec(topic_name, 3, message_timestamp_type="LogAppendTime", retention_ms="86400000")
    (made,) = await ensure_topics(kafka, [wanted])
    assert (made.is_created, made.partitions, made.faults) == (True, 3, ())
    (found,) = await ensure_topics(kafka, [wanted])
    assert (found.is_created, found.faults, found.topic_id) == (False, (), made.topic_id)


async def test_log_append_time_is_the_brokers_own(kafka: str, topic_name: str) -> None:
    await ensure_topics(kafka, [spec(topic_name, message_timestamp_type="LogAppendTime")])
    await publish(kafka, topic_name, [b"claims to be of 1970"])
    ((_value, timestamp, kind),) = await read(kafka, topic_name, 1)
    assert kind == 1
    assert timestamp > 1_600_000_000_000


async def test_wrong_settings_are_told_one_by_one(kafka: str, topic_name: str) -> None:
    await ensure_topics(kafka, [spec(topic_name, 2, retention_ms="1000000")])
    (state,) = await ensure_topics(kafka, [spec(topic_name, 4, retention_ms="2000000")])
    assert [str(fault) for fault in state.faults] == [
        f"{topic_name}: partitions is 2, must be 4",
        f"{topic_name}: retention.ms is 1000000, must be 2000000",
    ]


async def test_verifying_makes_nothing(kafka: str, topic_name: str) -> None:
    (state,) = await ensure_topics(kafka, [spec(topic_name)], verify_only=True)
    assert not state.is_right
    assert await topic_ids(kafka, [topic_name]) == {}


async def test_two_that_ensure_at_once_both_succeed(kafka: str, topic_name: str) -> None:
    both = await asyncio.gather(*(ensure_topics(kafka, [spec(topic_name)]) for _ in range(2)))
    assert {state.topic_id for (state,) in both} == set(
        (await topic_ids(kafka, [topic_name])).values()
    )
    assert sum(state.is_created for (state,) in both) == 1


async def test_a_setting_that_kafka_refuses_is_the_operators_affair(
    kafka: str, topic_name: str
) -> None:
    with pytest.raises(Misconfigured, match=topic_name):
        await ensure_topics(kafka, [spec(topic_name, retention_ms="soon")])


async def test_a_topic_made_anew_has_another_id(kafka: str, topic_name: str) -> None:
    await ensure_topics(kafka, [spec(topic_name)])
    before = await topic_ids(kafka, [topic_name])
    await delete_topics(kafka, [topic_name])
    assert await topic_ids(kafka, [topic_name]) == {}
    await ensure_topics(kafka, [spec(topic_name)])
    after = await topic_ids(kafka, [topic_name])
    assert after[topic_name] != before[topic_name]
    assert len(after[topic_name]) == 22
    assert ":" not in after[topic_name]


async def test_offsets_are_told_for_each_partition(kafka: str, topic_name: str) -> None:
    await ensure_topics(kafka, [spec(topic_name, 3)])
    await publish(kafka, topic_name, [b"a", b"b"], partition=1)
    assert await end_offsets(kafka, topic_name) == {0: 0, 1: 2, 2: 0}
    with pytest.raises(Misconfigured, match="does not exist"):
        await end_offsets(kafka, f"{topic_name}-not")


async def test_zstd_needs_no_room_in_the_data_folder(own_broker: EmbeddedKafka) -> None:
    own_broker.start()
    scratch = own_broker.data_dir / "tmp"
    shutil.rmtree(scratch)
    scratch.write_bytes(b"")  # nothing can be made in it, not even by root
    await ensure_topics(own_broker.bootstrap, [spec("t", 1, **{"compression.type": "gzip"})])
    producer = AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap, compression_type="zstd")
    await producer.start()
    try:
        await producer.send_and_wait("t", b"x" * 1000)  # other compression: Kafka unpacks it
    finally:
        await producer.stop()


async def test_no_topic_is_made_by_writing_to_it(kafka: str, topic_name: str) -> None:
    with pytest.raises(Misconfigured):
        await end_offsets(kafka, topic_name)
    assert await topic_ids(kafka, [topic_name]) == {}


async def test_a_broker_that_is_away_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable, match="does not serve"):
        await topic_ids("127.0.0.1:1", ["x"])


async def test_records_ids_and_address_survive_kill_and_stop(own_broker: EmbeddedKafka) -> None:
    own_broker.start()
    address = own_broker.bootstrap
    await ensure_topics(address, [spec("t")])
    ids = await topic_ids(address, ["t"])
    await publish(address, "t", [b"before the kill"])
    own_broker.kill()
    assert not own_broker.is_alive
    own_broker.start()
    await publish(address, "t", [b"after"])
    own_broker.stop()
    own_broker.start()
    assert own_broker.bootstrap == address
    assert [value for value, *_ in await read(address, "t", 2)] == [b"before the kill", b"after"]
    assert await topic_ids(address, ["t"]) == ids


def test_a_taken_port_is_named(own_broker: EmbeddedKafka) -> None:
    with (
        socket.create_server(("127.0.0.1", own_broker.port)),
        pytest.raises(Misconfigured, match=f"port {own_broker.port} .* is taken by") as told,
    ):
        own_broker.start()
    if sys.platform == "linux":
        assert f"pid {os.getpid()}" in str(told.value)
    assert not own_broker.is_alive


def test_a_port_taken_behind_our_back_is_named_from_kafkas_log(
    own_broker: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.broker.require_free", lambda _port, _what: None)
    with (
        socket.create_server(("127.0.0.1", own_broker.port)),
        pytest.raises(Misconfigured, match=f"port {own_broker.port} is taken"),
    ):
        own_broker.start(timeout_s=30)  # what holds the port never answers: the end tells


@pytest.mark.parametrize("kind", ["file", "proc"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "taken" if kind == "file" else Path("/proc/nothing/here")
    if kind == "file":
        folder.write_text("not a folder")
    with pytest.raises(Misconfigured, match=f"can't write in {folder}"):
        EmbeddedKafka(folder).start()


def test_jars_that_are_not_installed_are_told_with_the_cure(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", home=tmp_path / "nowhere")
    with pytest.raises(Misconfigured, match="--install"):
        broker.start()


SCRIPT = """
import sys, time
from pathlib import Path
from runtime.broker import EmbeddedKafka
broker = EmbeddedKafka(Path(sys.argv[1]), death_signal=int(sys.argv[2]))
broker.start()
print(broker.pid, broker.port, broker.controller_port, flush=True)
time.sleep(300)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells of a parent's end on Linux")
@pytest.mark.parametrize(
    ("death_signal", "is_orderly"),
    [
        pytest.param(signal.SIGKILL, False, id="at once"),
        pytest.param(signal.SIGTERM, True, id="in order, after its clients"),
    ],
)
def test_a_broker_dies_with_its_killed_parent(
    tmp_path: Path, death_signal: signal.Signals, *, is_orderly: bool
) -> None:
    argv = [sys.executable, "-c", SCRIPT, str(tmp_path / "kafka"), str(int(death_signal))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline().split()[0])
        assert "kafka.Kafka" in command_line(pid)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_running(pid), "the broker to die")
    assert (tmp_path / "kafka/data/.kafka_cleanshutdown").exists() == is_orderly


def test_an_orphan_of_the_same_folder_is_ended_by_the_next_start(tmp_path: Path) -> None:
    first = EmbeddedKafka(tmp_path / "kafka")
    first.start()
    orphan = first.pid
    assert orphan is not None
    second = EmbeddedKafka(first.data_dir, first.port, first.controller_port)
    try:
        second.start()
        assert second.is_alive
        assert not first.is_alive
    finally:
        second.kill()
        first.kill()


def test_a_pid_file_that_names_somebody_else_harms_nobody(own_broker: EmbeddedKafka) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as bystander:
        own_broker.data_dir.mkdir(parents=True)
        own_broker.pid_path.write_text(str(bystander.pid))
        own_broker.start()
        assert bystander.poll() is None
        bystander.kill()


async def test_broker_tells_the_release_that_the_lock_names(kafka: str) -> None:
    level = await metadata_level(kafka)
    assert level is not None
    version = next(jar.version for jar in read_lock() if jar.artifact == "kafka_2.13")
    assert version.startswith(f"{release_of(level)}.")


async def test_release_of_a_broker_that_is_away_is_unavailable() -> None:
    with pytest.raises(BrokerUnavailable):
        await metadata_level("127.0.0.1:1")
