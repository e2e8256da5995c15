"""Canaries on a real broker, both stages and a real store: they come back, hidden and counted."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry

from cli.canary_service import CanaryMetrics, CanaryPorts, CanaryRunner, Messages, raise_first
from cli.canary_service import send_alert as send
from console.health.canaries import canary_probe, last_of_each, state_of
from consumers.alerts.service import CONDITIONS, AlertService, run_alerts
from consumers.migrate import migrate
from detections.canary import Canary, plan_canaries
from detections.canary_watch import SILENT_RULE, Pace
from detections.rulebook import beside
from detections.sigma.detector import SigmaDetector
from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.extractor import Extractor
from detections.stateful.keeper import Keeper
from pipeline.emit import BrokerAddress
from pipeline.enrich import Terms
from pipeline.stage import Stage
from producers.publisher import Publisher
from runtime.clickhouse import Store
from runtime.health import Readiness
from runtime.topics import topic_ids
from schemas.canary import RULE, TENANT
from tests.integration.correlating import Pipeline, Topics, failed_login
from tests.unit.pipeline.judging import LOOKUPS

KEY = b"key of this test"
DEADLINE_S = 60.0
PACE = Pace(3_600_000, 8_000, delay_ms=0, spread_ms=0)
SINGLE = """
title: Role granted
id: 00000000-0000-4000-8000-00000000000{number}
name: {name}
logsource: {{product: dutycall}}
detection:
  selection: {{action: permission.role.granted}}
  condition: selection
level: high
"""
GRANT = {"action": "permission.role.granted", "user": "admin@company.com"}
GRANT_TEST = "match:\n  - {action: permission.role.granted}\nno_match:\n  - {action: a.b}\n"
FAILURES = """
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
  timespan: 1d
  condition: {gte: 10}
level: high
"""
CHAIN = """
title: In after failures
id: 00000000-0000-4000-8000-000000000003
name: in-after-failures
correlation:
  type: event_count
  rules: [many-failures]
  group-by: [user]
  timespan: 1d
  condition: {gte: 1}
  generate: true
level: critical
"""
FAILURES_TEST = """
match:
  - name: ten within the day
    events:
      - {repeat: 10, every: 60s, user: jane@company.com, action: authentication.login.failure}
no_match:
  - {action: a.b}
"""
FILES = {
    "grant.yml": SINGLE.format(number=5, name="grant"),
    "broken.yml": SINGLE.format(number=6, name="broken"),
    "failures.yml": FAILURES,
    "chain.yml": CHAIN,
}
TESTS = {
    "grant": GRANT_TEST,
    "broken": GRANT_TEST,
    "failures": FAILURES_TEST,
    "chain": FAILURES_TEST,
}


def rules(*names: str) -> RuleSet:
    found = load_rules([RuleFile(name, FILES[name]) for name in names])
    assert found.refusals == ()
    return found


def planned() -> list[Canary]:
    files = [RuleFile(name, text) for name, text in FILES.items()]
    tests = [RuleFile(f"{name}.test.yml", text) for name, text in TESTS.items()]
    plan = plan_canaries(load_rules(files), beside(files, tests))
    assert plan.left_out == ()
    return list(plan.canaries)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(f"chdb://{tmp_path_factory.mktemp('canaries')}") as opened:
        migrate(opened)
        yield opened


@pytest.fixture
async def topics(kafka: str, topic_name: str) -> Topics:
    made = Topics(kafka, topic_name)
    await made.make()
    return made


@asynccontextmanager
async def at_work(work: Awaitable[object], stop: asyncio.Event) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
        assert not task.done(), task.result()
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


@asynccontextmanager
async def pipeline(
    topics: Topics, folder: Path, ruleset: RuleSet, key: bytes
) -> AsyncIterator[Stage]:
    """Both stages with these rules."""
    ids = await topic_ids(topics.kafka, [topics.events, topics.signals, topics.state])
    made = Pipeline(topics, folder, ids)
    detector = SigmaDetector(ruleset)
    made.stage = Stage(LOOKUPS, detector, lambda _t: ids[topics.events], Terms(canary_key=key))
    made.stage.use_detector(detector, Extractor(ruleset))
    made.rules.use(Keeper(ruleset), ruleset.version)
    async with at_work(made.run(), made.stop):
        yield made.stage
    assert made.bugs == []


@asynccontextmanager
async def alerting(topics: Topics, store: Store, shown: list[str]) -> AsyncIterator[None]:
    """The service that stores alerts."""
    stop = asyncio.Event()
    service = AlertService(
        topics.kafka,
        store,
        (),
        CollectorRegistry(),
        Readiness(CONDITIONS),
        group=f"{topics.name}-alerts",
        topic=topics.alerts,
        show=shown.append,
    )
    async with at_work(run_alerts(service, stop), stop):
        yield


@asynccontextmanager
async def canaries(topics: Topics, store: Store, plan: list[Canary]) -> AsyncIterator[CanaryRunner]:
    """The runner, sending to the test's topics."""
    stop, address = asyncio.Event(), BrokerAddress(topics.kafka)
    async with Publisher(topics.kafka, topic=topics.events) as publisher:

        async def publish(messages: Messages) -> None:
            raise_first(await publisher.publish_many_bytes(messages))

        alert = partial(send, address, topic=topics.alerts)
        runner = CanaryRunner(CanaryPorts(store, publish, alert, lambda: plan), KEY, PACE)
        async with at_work(runner.run(stop), stop):
            yield runner


async def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.1)


def alerts_in(store: Store, *, canary: bool) -> set[tuple[str, str]]:
    sql = "SELECT DISTINCT rule_id, tenant FROM alerts WHERE canary = {canary:Bool}"
    return {(rule, tenant) for rule, tenant in store.query_rows(sql, {"canary": canary})}


async def test_rules_that_speak_are_well_and_one_that_does_not_is_named(
    topics: Topics, store: Store, tmp_path: Path
) -> None:
    shown: list[str] = []
    async with (
        pipeline(topics, tmp_path, rules("grant.yml", "failures.yml", "chain.yml"), KEY),
        alerting(topics, store, shown),
        canaries(topics, store, planned()) as runner,
    ):
        await until(lambda: "silent" in runner.watch.states.values())
        assert dict(runner.watch.states) == {
            "grant": "ok",
            "many-failures": "ok",
            "in-after-failures": "ok",
            "broken": "silent",
        }
        await until(lambda: alerts_in(store, canary=False) == {(SILENT_RULE, "default")})
        await until(lambda: any("broken" in line for line in shown))
        # what canaries raised is stored under their mark, and nobody hears of it
        spoken = ("grant", "many-failures", "in-after-failures")
        assert alerts_in(store, canary=True) == {(rule, TENANT) for rule in spoken}
        assert alerts_in(store, canary=False) == {(SILENT_RULE, "default")}
        assert not any("grant" in line or "many-failures" in line for line in shown)
        told = store.query_rows(
            "SELECT DISTINCT toString(outcome), error FROM deliveries d "
            "WHERE alert_id IN (SELECT alert_id FROM alerts WHERE canary = 1)"
        )
        assert told == [("suppressed", "canary")]
        # and is told to who asks
        sql, parameters = last_of_each(3_600)
        rows = {row["rule_id"]: row for row in store.query(sql, parameters)}
        assert {rule: state_of(row) for rule, row in rows.items()} == dict(runner.watch.states)
        assert all(int(row["sent_ms"]) > 0 for row in rows.values())
        found = await canary_probe(store, 3_600, has_key=True).look()
        assert (found.is_ok, found.found) == (False, "silent: broken")
        registry = CollectorRegistry()
        CanaryMetrics(registry, runner)
        assert registry.get_sample_value("audit_canary_rules", {"state": "silent"}) == 1
        assert registry.get_sample_value("audit_canary_runs_total", {"outcome": "sent"})


async def test_canaries_do_not_mix_with_people_nor_forged_ones_hide(
    topics: Topics, store: Store, tmp_path: Path
) -> None:
    at_ms = int(time.time() * 1000)
    nine = [failed_login(n, "jane@company.com", at_ms) for n in range(9)]
    stamp = nine[0]["timestamp"]
    forged = {**GRANT, "timestamp": stamp, "tenant": TENANT, "event_id": "canary-x-0"}
    plan = [one for one in planned() if one.rule_id in ("grant", "many-failures")]
    async with (
        pipeline(topics, tmp_path, rules("grant.yml", "failures.yml"), KEY),
        alerting(topics, store, []),
        canaries(topics, store, plan) as runner,
    ):
        await topics.publish([*nine, forged | {"details": {RULE: "grant"}}])
        await until(lambda: list(runner.watch.states.values()) == ["ok", "ok"])
        # ten failures of the canary's Jane and nine of ours make no alert of ours
        await until(lambda: bool(alerts_in(store, canary=False)))
        assert alerts_in(store, canary=False) == {("grant", TENANT)}
        assert runner.is_known
        flags = [
            orjson.loads(record.value).get("flags", [])
            for record in await topics.read(topics.records)
        ]
        assert sum("forged_canary" in found for found in flags) == 1
        assert sum("canary" in found for found in flags) == 11
        assert len(flags) == len(nine) + 1 + 11
        found = await canary_probe(store, 3_600, has_key=True).look()
        assert not found.is_ok
        assert "wrong mark" in found.found


async def test_runner_whose_mark_is_not_known_says_so(
    topics: Topics, store: Store, tmp_path: Path
) -> None:
    async with (
        pipeline(topics, tmp_path, rules("grant.yml"), b"another key"),
        alerting(topics, store, []),
        canaries(topics, store, [one for one in planned() if one.rule_id == "grant"]) as runner,
    ):
        await until(lambda: not runner.is_known)
        told = {("grant", TENANT), (SILENT_RULE, "default")}
        await until(lambda: alerts_in(store, canary=False) == told)
        assert not runner.is_known
        assert runner.counts["sent"] == 1
        assert runner.counts["fired"] == 0
