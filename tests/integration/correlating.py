"""Both stages of the pipeline on topics of their own, here or as a process that can be killed.

As a process: `python -m tests.integration.correlating BOOTSTRAP NAME FOLDER`.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.extractor import Extractor
from detections.stateful.keeper import Keeper
from detections.stateful.memory import Terms
from pipeline.agents import Progress, Routes
from pipeline.app import GroupTimings, WorkerSettings, serve
from pipeline.stage import Stage
from pipeline.stage2 import Book, BookTerms, Rules
from pipeline.stage2_app import Stage2Routes, Stage2Worker
from runtime.topics import delete_topics, end_offsets, topic_ids
from schemas.alert import Alert
from tests.unit.pipeline.judging import LOOKUPS

PARTITIONS = 3
DEADLINE_S = 40.0
FAILURES = 10  # that make an alert
GROUPS_MAX = 100_000
TIMINGS = GroupTimings(rebalance_timeout_s=2.0, session_timeout_s=2.0, heartbeat_interval_s=0.3)
RULES = """
title: Failed login
id: 00000000-0000-4000-8000-000000000001
name: login-failed
logsource: {product: dutycall}
detection:
  selection: {action: authentication.login.failure}
  condition: selection
---
title: Many failed logins
id: 00000000-0000-4000-8000-000000000002
name: many-failures
correlation:
  type: event_count
  rules: [login-failed]
  group-by: [user]
  timespan: 10m
  condition: {gte: 10}
level: high
---
title: Several accounts under attack
id: 00000000-0000-4000-8000-000000000003
name: many-accounts
correlation:
  type: event_count
  rules: [many-failures]
  group-by: []
  timespan: 1h
  condition: {gte: 3}
  generate: true
level: critical
---
title: Fewer events than there should be
id: 00000000-0000-4000-8000-000000000004
name: too-few
correlation:
  type: event_count
  rules: [login-failed]
  group-by: [ip_address]
  timespan: 1s
  condition: {lt: 2}
level: low
"""


def rules(text: str = RULES) -> RuleSet:
    found = load_rules([RuleFile("rules.yml", text)])
    assert found.refusals == ()
    return found


def failed_login(number: int, user: str, occurred_ms: int, address: str = "") -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(occurred_ms // 1000))
    event = {
        "event_id": f"e-{number}",
        "timestamp": f"{at}.{occurred_ms % 1000:03}Z",
        "user": user,
        "action": "authentication.login.failure",
    }
    return event | ({"ip_address": address} if address else {})


class Topics:
    """The names of one test's topics, and what is in them."""

    def __init__(self, kafka: str, name: str) -> None:
        self.kafka = kafka
        self.name = name
        self.events, self.records = f"{name}-events", f"{name}-records"
        self.alerts, self.signals = f"{name}-alerts", f"{name}-signals"
        self.state = f"{name}-state"

    async def make(self) -> None:
        await self._create(self.events, self.records, self.alerts, self.signals)
        await self._create(self.state, **{"cleanup.policy": "compact"})

    async def make_state_anew(self) -> None:
        await delete_topics(self.kafka, [self.state])
        while await topic_ids(self.kafka, [self.state]):
            continue  # its name is free a moment later
        await self._create(self.state, **{"cleanup.policy": "compact"})

    async def _create(self, *names: str, **config: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        config |= {"message.timestamp.type": "LogAppendTime"}
        topics = [NewTopic(name, PARTITIONS, 1, topic_configs=config) for name in names]
        try:
            made = await admin.create_topics(topics)
            assert not any(code for _, code, *_ in made.topic_errors), made
        finally:
            await admin.close()
        known: set[str] = set()
        while known != set(names):  # every broker knows it soon
            known = set(await topic_ids(self.kafka, names))

    async def publish(self, events: list[dict[str, Any]]) -> None:
        """Spread events over the partitions, whatever they are about."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka, enable_idempotence=True)
        await producer.start()
        try:
            for number, event in enumerate(events):
                value = orjson.dumps(event)
                await producer.send(self.events, value, partition=number % PARTITIONS)
            await producer.flush()
        finally:
            await producer.stop()

    async def read(self, topic: str) -> list[Any]:
        """Return what is in a topic now, all partitions, committed."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, isolation_level="read_committed")
        await consumer.start()
        found = []
        try:
            tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            consumer.assign(tps)
            await consumer.seek_to_beginning()
            ends = await consumer.end_offsets(tps)
            deadline = time.monotonic() + DEADLINE_S
            for tp in tps:
                while await consumer.position(tp) < ends[tp] and time.monotonic() < deadline:
                    for records in (await consumer.getmany(tp, timeout_ms=100)).values():
                        found += records
        finally:
            await consumer.stop()
        return found

    async def alerts_found(self) -> list[Alert]:
        return [Alert.model_validate_json(r.value) for r in await self.read(self.alerts)]

    async def await_commits(self, group: str) -> None:
        """Return once the group has nothing left to read of events or signals."""
        topic = self.events if group == "first" else self.signals
        deadline = time.monotonic() + DEADLINE_S
        while True:
            ends = await end_offsets(self.kafka, topic)
            done = await self._committed(f"{self.name}-{group}")
            if all(done.get(partition, 0) >= end for partition, end in ends.items() if end):
                return
            assert time.monotonic() < deadline, f"{topic}: {done} of {ends}"
            await asyncio.sleep(0.2)

    async def _committed(self, group: str) -> dict[int, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            return {}  # a young broker makes its topic of groups only now
        finally:
            await admin.close()
        return {tp.partition: at.offset for tp, at in found.items()}

    async def await_alerts(self, count: int, rule: str = "") -> list[Alert]:
        """Return the alerts of a rule once there are so many different ones."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            found = [a for a in await self.alerts_found() if rule in ("", a.rule_id)]
            if len({alert.alert_id for alert in found}) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} alerts, not {count}"
            await asyncio.sleep(0.2)


class Pipeline:
    """Both stages, as the service runs them."""

    def __init__(
        self, topics: Topics, folder: Path, ids: dict[str, str], terms: Terms | None = None
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.stop = asyncio.Event()
        self.ruleset = rules()
        incarnation = ids[topics.events]
        self.stage = Stage(LOOKUPS, SigmaDetector(self.ruleset), lambda _topic: incarnation)
        self.stage.use_detector(SigmaDetector(self.ruleset), Extractor(self.ruleset, terms))
        self.rules = Rules(Keeper(self.ruleset, terms), self.ruleset.version)
        self.bugs: list[Exception] = []
        bounds = BookTerms(GROUPS_MAX, 86_400_000, 5.0, self.bugs.append)
        self.first = Progress()
        self._settings = [
            WorkerSettings(
                group=f"{topics.name}-{stage}",
                bootstrap=topics.kafka,
                datadir=folder / stage,
                timings=TIMINGS,
                commit_interval_s=0.2,
                incarnation=label,
                sources=PARTITIONS,
            )
            for stage, label in (
                ("first", incarnation),
                ("second", f"{ids[topics.signals]}/{ids[topics.state]}"),
            )
        ]
        self._routes = Routes(topics.events, topics.records, topics.alerts, topics.signals)
        self.second = Stage2Worker(
            self._settings[1],
            lambda _partition: Book(self.rules, bounds, time.monotonic),
            routes=Stage2Routes(topics.signals, topics.state, topics.alerts),
        )

    async def run(self) -> int:
        """Work until told to stop or one of the stages ends; return the worse exit code."""
        first = serve(
            self._settings[0], self.stage, self._routes, progress=self.first, stop=self.stop
        )
        ends = [asyncio.ensure_future(work) for work in (first, self.second.serve(self.stop))]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop.set()
        return max(await asyncio.gather(*ends))


@asynccontextmanager
async def running(
    topics: Topics, folder: Path, terms: Terms | None = None
) -> AsyncIterator[Pipeline]:
    names = [topics.events, topics.signals, topics.state]
    pipeline = Pipeline(topics, folder, await topic_ids(topics.kafka, names), terms)
    task = asyncio.create_task(pipeline.run())
    try:
        yield pipeline
    finally:
        pipeline.stop.set()
        await task
    assert pipeline.bugs == []


def spawn(topics: Topics, folder: Path) -> subprocess.Popen[bytes]:
    """Start both stages as a process of their own."""
    command = [sys.executable, "-m", "tests.integration.correlating", topics.kafka, topics.name]
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*command, str(folder)], stdout=log, stderr=log, cwd=Path(__file__).parents[2]
        )


async def main(kafka: str, name: str, folder: str) -> int:
    """Run until killed."""
    topics = Topics(kafka, name)
    names = [topics.events, topics.signals, topics.state]
    return await Pipeline(topics, Path(folder), await topic_ids(kafka, names)).run()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
