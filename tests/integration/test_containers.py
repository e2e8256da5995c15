"""The servers of deploy/compose.yml themselves: Kafka's and ClickHouse's images with our files.

Needs a Docker engine; without one these tests are skipped and say so. What can be asked of the
engine in process is asked in any case: that it knows each setting and right which deploy/ names.
"""

import asyncio
import hashlib
import importlib
import json
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumers.migrate import migrate
from runtime.clickhouse import Store
from runtime.store_errors import DeadlinePassed
from runtime.topics import TopicState, ensure_topics
from schemas import tables
from schemas.errors import AuditError, Misconfigured
from schemas.topics import EVENTS, TopicSpec, topic_specs

DEPLOY: Final = Path(__file__).parent.parent.parent / "deploy"
START_TIMEOUT_S: Final = 120.0
USERS: Final = ("migrator", "writer", "api", "analyst")
ACCESS_DENIED: Final = "497"


def _image(service: str) -> str:
    """Return the image that compose names when nobody overrides its tag."""
    services = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", services[service]["image"])


@pytest.fixture(scope="module")
def new_container() -> Callable[..., Any]:
    """Return testcontainers' class of containers; skip where no Docker engine answers."""
    # In a process of its own: the client leaves a socket open when nobody answers.
    asked = subprocess.run(
        [sys.executable, "-c", "import docker; docker.from_env(timeout=5).ping()"],
        capture_output=True,
        check=False,
    )
    if asked.returncode != 0:
        pytest.skip("no Docker engine answers on this machine")
    container = importlib.import_module("testcontainers.core.container")  # it asks the engine too
    made: Callable[..., Any] = container.DockerContainer
    return made


class Server(NamedTuple):
    """One ClickHouse server and the password of each of its users."""

    address: str
    passwords: dict[str, str]

    def store(self, user: str) -> Store:
        return Store(f"clickhouse://audit_{user}:{self.passwords[user]}@{self.address}/audit")


@pytest.fixture(scope="module")
def clickhouse(new_container: Callable[..., Any]) -> Iterator[Server]:
    passwords = {user: secrets.token_hex(16) for user in USERS}
    container = (
        new_container(_image("clickhouse"), user="101:101", cap_drop=["ALL"], read_only=True)
        .with_env("CLICKHOUSE_SKIP_USER_SETUP", "1")
        .with_volume_mapping(
            DEPLOY / "clickhouse" / "config.xml", "/etc/clickhouse-server/config.d/audit.xml"
        )
        .with_volume_mapping(
            DEPLOY / "clickhouse" / "users.xml", "/etc/clickhouse-server/users.d/audit.xml"
        )
        .with_tmpfs_mount("/tmp", "256m")
        .with_tmpfs_mount("/var/log/clickhouse-server", "16m")
        .with_exposed_ports(8123)
    )
    for user, password in passwords.items():
        sha = hashlib.sha256(password.encode()).hexdigest()
        container.with_env(f"CLICKHOUSE_{user.upper()}_SHA256", sha)
    with container:
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(8123)}"
        server = Server(address, passwords)
        _until_answers(server)
        yield server


def _until_answers(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with Store(
                f"clickhouse://audit_writer:{server.passwords['writer']}@{server.address}/system"
            ) as store:
                store.query("SELECT 1")
                return
        except AuditError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="module")
def migrated(clickhouse: Server) -> Server:
    with clickhouse.store("migrator") as store:
        assert all(applied.is_new for applied in migrate(store))
        assert not any(applied.is_new for applied in migrate(store)), "twice is once"
    return clickhouse


def _event(offset: int, *, deadline_s: int = 60) -> dict[str, Any]:
    return {
        "batch_deadline": int(time.time()) + deadline_s,
        "tenant": "default",
        "occurred": "2025-10-11 14:23:15.123456",
        "event_id": f"event-{offset}",
        "user": "anna",
        "action": "authentication.login.success",
        "ip_address": "203.0.113.7",
        "incarnation": "kafka-topic-id",
        "topic": EVENTS,
        "partition": 0,
        "offset": offset,
        "recorded": "2025-10-11 14:23:16.000",
        "raw": "{}",
    }


def _insert(store: Store, events: list[dict[str, Any]], token: str) -> None:
    lines = "\n".join(json.dumps(event) for event in events).encode()
    store.insert_lines(tables.EVENTS, tuple(events[0]), lines, token)


def _count(store: Store, offset: int) -> int:
    sql = "SELECT count() FROM events WHERE offset = {offset:UInt64}"
    return int(store.query_rows(sql, {"offset": offset})[0][0])


def test_server_takes_a_batch_once_however_often_it_is_sent(migrated: Server) -> None:
    with migrated.store("writer") as store:
        events = [_event(1)]
        for _ in range(3):
            _insert(store, events, "batch-1")
        assert _count(store, 1) == 1


def test_server_refuses_a_batch_whose_deadline_is_over(migrated: Server) -> None:
    with migrated.store("writer") as store:
        with pytest.raises(DeadlinePassed):
            _insert(store, [_event(2, deadline_s=-5)], "batch-2")
        assert _count(store, 2) == 0


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE events DELETE WHERE 1",
        "DELETE FROM events WHERE 1",
        "ALTER TABLE events UPDATE user = 'x' WHERE 1",
        "TRUNCATE TABLE events",
        "DROP TABLE events",
        "ALTER TABLE events DROP PARTITION 202510",
    ],
)
def test_server_lets_no_user_touch_what_is_stored(
    migrated: Server, user: str, statement: str
) -> None:
    with migrated.store(user) as store, pytest.raises(AuditError, match=r"497|164"):
        store.command(statement)


def test_server_lets_the_api_read_and_replay_and_no_more(migrated: Server) -> None:
    with migrated.store("api") as store:
        _insert(store, [_event(3) | {"replayed": 1}], "replay-3")
        assert _count(store, 3) == 1
        with pytest.raises(Misconfigured, match=ACCESS_DENIED):
            store.insert_lines(tables.QUARANTINE, ("reason",), b'{"reason":"x:y"}', token="forged")


def test_server_lets_an_analyst_read_within_bounds(migrated: Server) -> None:
    with migrated.store("analyst") as store:
        assert store.query("SELECT count() AS events FROM events")
        with pytest.raises(AuditError):
            store.query("SELECT 1", settings={"max_memory_usage": 0})
        with pytest.raises(AuditError):
            _insert(store, [_event(4)], "batch-4")


def test_server_has_no_default_user(migrated: Server) -> None:
    with (
        Store(f"clickhouse://default@{migrated.address}/audit") as store,
        pytest.raises(Misconfigured, match="516"),
    ):
        store.query("SELECT 1")


@pytest.fixture(scope="module")
def broker(
    new_container: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # As compose mounts it, but for the address, which clients outside of its network must reach.
    text = (DEPLOY / "kafka" / "server.properties").read_text()
    advertised = text.replace("PLAINTEXT://kafka:9092", f"PLAINTEXT://127.0.0.1:{port}")
    assert advertised != text
    properties = tmp_path_factory.mktemp("kafka") / "server.properties"
    properties.write_text(advertised.replace("1@kafka:9093", "1@localhost:9093"))
    service = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]["kafka"]
    container = (
        new_container(
            _image("kafka"), entrypoint=service["entrypoint"], cap_drop=["ALL"], read_only=True
        )
        .with_command(service["command"])
        .with_bind_ports(9092, port)
        .with_volume_mapping(properties, "/etc/audit/server.properties")
        .with_volume_mapping(DEPLOY / "kafka" / "log4j2.properties", "/etc/audit/log4j2.properties")
        .with_tmpfs_mount("/tmp", "64m")
    )
    for name, value in service["environment"].items():
        container.with_env(name, value)
    with container:
        yield f"127.0.0.1:{port}"


async def _ensured(broker: str, specs: Sequence[TopicSpec]) -> list[TopicState]:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            return await ensure_topics(broker, specs)
        except AuditError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)


async def test_broker_holds_the_topics_as_the_promises_need_them(broker: str) -> None:
    specs = topic_specs(partitions=2)
    states = await _ensured(broker, specs)
    assert all(state.is_right for state in states), states
    producer = AIOKafkaProducer(bootstrap_servers=broker, enable_idempotence=True, acks="all")
    await producer.start()
    try:
        sent = await producer.send_and_wait(EVENTS, b"{}", partition=1)
    finally:
        await producer.stop()
    consumer = AIOKafkaConsumer(EVENTS, bootstrap_servers=broker, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 30)
    finally:
        await consumer.stop()
    assert (record.partition, record.offset) == (1, sent.offset)
    assert record.timestamp_type == 1, "the broker's own append time"


# In a process of its own, because an engine in process takes one folder and no other.
ASK_ENGINE: Final = """
import json, sys
import xml.etree.ElementTree as ET
from runtime.clickhouse import Store
from schemas.errors import AuditError

users, server = (ET.parse(path).getroot() for path in sys.argv[2:4])
PARSED = "SELECT formatQuerySingleLine({sql:String})"
OPTIONS = ("max_concurrent_queries", "max_server_memory_usage_to_ram_ratio")

with Store(f"chdb://{sys.argv[1]}", database="system") as store:

    def names(table):
        return {row[0] for row in store.query_rows(f"SELECT name FROM system.{table}")}

    def is_grant(sql):
        try:
            return bool(store.query_rows(PARSED, {"sql": f"{sql} TO someone"}))
        except AuditError:
            return False

    settings, tables, options = map(names, ("settings", "merge_tree_settings", "server_settings"))
    items = [*users.iterfind("profiles/*/*"), *users.iterfind("profiles/*/constraints/*")]
    wrong = sorted({item.tag for item in items} - {"constraints", "profile"} - settings)
    wrong += [item.tag for item in server.find("merge_tree") if item.tag not in tables]
    wrong += [name for name in OPTIONS if name not in options or server.find(name) is None]
    grants = [query.text for query in users.iterfind("roles/*/grants/query")]
    wrong += [grant for grant in grants if not is_grant(grant)]
    assert not is_grant("GRANT FLY ON audit.*"), "the parser lets through what does not exist"
print(json.dumps({"wrong": wrong, "grants": len(grants)}))
"""


def test_engine_knows_every_setting_and_right_that_deploy_names(tmp_path: Path) -> None:
    files = [DEPLOY / "clickhouse" / name for name in ("users.xml", "config.xml")]
    done = subprocess.run(
        [sys.executable, "-c", ASK_ENGINE, tmp_path / "store", *files],
        cwd=DEPLOY.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["wrong"] == []
    assert answer["grants"] >= len(USERS)
