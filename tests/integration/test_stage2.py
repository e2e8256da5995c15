"""Rules with a memory on a real broker: found over all partitions, once, whatever is killed."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from detections.stateful.memory import Terms
from schemas.alert import Alert, alert_id
from tests.integration.correlating import (
    DEADLINE_S,
    FAILURES,
    Topics,
    failed_login,
    running,
    spawn,
)

KILLS = int(os.environ.get("AUDIT_TEST_STAGE2_KILLS", "3"))
USERS = 30  # half of them fail often enough
SEED = 11
BUCKET_MS = 600_000  # the span of `many-failures`


def now_ms() -> int:
    return int(time.time() * 1000)


@pytest.fixture
async def topics(kafka: str, topic_name: str) -> Topics:
    made = Topics(kafka, topic_name)
    await made.make()
    return made


async def test_failures_over_all_partitions_make_one_alert(topics: Topics, tmp_path: Path) -> None:
    at_ms = now_ms()
    jane = [failed_login(n, "jane@company.com", at_ms) for n in range(FAILURES)]
    bob = [failed_login(100 + n, "bob@company.com", at_ms) for n in range(FAILURES - 1)]
    async with running(topics, tmp_path) as pipeline:
        await topics.publish(jane + bob)
        (alert,) = await topics.await_alerts(1)
        assert (alert.rule_id, alert.user) == ("many-failures", "jane@company.com")
        assert alert.group == "user=jane@company.com"
        assert alert.event_count == FAILURES
        assert alert.rule_set == pipeline.ruleset.version
        assert not alert.historical
        # each further one within the bucket says nothing new
        await topics.publish([failed_login(200, "jane@company.com", at_ms)])
        deadline = time.monotonic() + DEADLINE_S
        counted = len(jane + bob) + 2  # one of them is the alert, told to `many-accounts`
        while pipeline.rules.entries()["taken"] < counted:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert pipeline.rules.entries()["repeat"] == 0
        assert len(await topics.alerts_found()) == 1


async def test_alerts_of_several_rules_make_one_of_another(topics: Topics, tmp_path: Path) -> None:
    at_ms = now_ms()
    events = [failed_login(n, f"user{n % 3}@company.com", at_ms) for n in range(3 * FAILURES)]
    async with running(topics, tmp_path):
        await topics.publish(events)
        (alert,) = await topics.await_alerts(1, "many-accounts")
    assert alert.severity == "critical"


async def test_window_with_too_few_is_judged_when_all_is_quiet(
    topics: Topics, tmp_path: Path
) -> None:
    async with running(topics, tmp_path, Terms(grace_ms=3_000)) as pipeline:
        await topics.publish([failed_login(1, "jane@company.com", now_ms(), "203.0.113.1")])
        (alert,) = await topics.await_alerts(1, "too-few")
        assert alert.group == "ip_address=203.0.113.1"
        for book in pipeline.second.desks.books().values():
            assert 0 < book.watermark_ms <= now_ms()


async def test_next_owner_goes_on_counting(topics: Topics, tmp_path: Path) -> None:
    at_ms = now_ms()
    events = [failed_login(n, "jane@company.com", at_ms) for n in range(FAILURES)]
    async with running(topics, tmp_path / "one"):
        await topics.publish(events[:-1])
        await topics.await_commits("first")
        await topics.await_commits("second")
    assert await topics.alerts_found() == []
    async with running(topics, tmp_path / "two"):
        await topics.publish(events[-1:])
        assert len(await topics.await_alerts(1)) == 1


async def test_journal_that_was_lost_is_made_again_of_the_signals(
    topics: Topics, tmp_path: Path
) -> None:
    at_ms = now_ms()
    events = [failed_login(n, "jane@company.com", at_ms) for n in range(FAILURES)]
    async with running(topics, tmp_path / "one"):
        await topics.publish(events[:-1])
        await topics.await_commits("first")
        await topics.await_commits("second")
    await topics.make_state_anew()
    async with running(topics, tmp_path / "two"):
        await topics.publish(events[-1:])
        assert len(await topics.await_alerts(1)) == 1


def expected_ids(at_ms: int) -> set[str]:
    """Return the ids of the alerts on the users with an even number."""
    return {
        alert_id("many-failures", 1, f"user=user{n}@company.com", f"window:{at_ms // BUCKET_MS}")
        for n in range(0, USERS, 2)
    }


def traffic(at_ms: int) -> list[dict[str, object]]:
    """Return failures in no order: even users reach the threshold, odd ones stay one below."""
    users = [n for n in range(USERS) for _ in range(FAILURES - n % 2)]
    random.Random(SEED).shuffle(users)
    return [failed_login(n, f"user{user}@company.com", at_ms) for n, user in enumerate(users)]


def assert_right(found: list[Alert], at_ms: int) -> None:
    assert {a.alert_id for a in found if a.rule_id == "many-failures"} == expected_ids(at_ms)
    assert len({a.alert_id for a in found if a.rule_id == "many-accounts"}) == 1


async def test_alerts_are_the_same_whoever_is_killed(topics: Topics, tmp_path: Path) -> None:
    at_ms, chance = now_ms(), random.Random(SEED)
    events = traffic(at_ms)
    workers = [spawn(topics, tmp_path / str(number)) for number in range(2)]
    try:
        step = len(events) // (KILLS + 1) + 1
        for first in range(0, len(events), step):
            for begin in range(first, min(first + step, len(events)), 5):
                await topics.publish(events[begin : min(begin + 5, first + step)])
                await asyncio.sleep(0.05)
            if first + step < len(events):
                victim = chance.randrange(2)
                workers[victim].kill()
                await asyncio.to_thread(workers[victim].wait)
                workers[victim] = spawn(topics, tmp_path / str(victim))
                await asyncio.sleep(chance.uniform(0.5, 3.0))
        await topics.await_commits("first")
        await topics.await_alerts(USERS // 2 + 1)
        await topics.await_commits("second")
        assert_right(await topics.alerts_found(), at_ms)
    finally:
        for worker in workers:
            worker.kill()
            await asyncio.to_thread(worker.wait)


async def test_worker_that_stood_still_spoils_nothing(topics: Topics, tmp_path: Path) -> None:
    at_ms = now_ms()
    events = traffic(at_ms)
    third = len(events) // 3
    zombie = spawn(topics, tmp_path / "zombie")
    workers = [zombie]
    try:
        await topics.publish(events[:third])
        await topics.await_commits("second")
        await topics.publish(events[third : third + 40])
        zombie.send_signal(signal.SIGSTOP)  # wherever it is
        workers.append(spawn(topics, tmp_path / "owner"))
        await topics.publish(events[third + 40 : 2 * third])
        await topics.await_commits("first")
        zombie.send_signal(signal.SIGCONT)
        await topics.publish(events[2 * third :])
        await topics.await_commits("first")
        await topics.await_alerts(USERS // 2 + 1)
        await topics.await_commits("second")
        assert_right(await topics.alerts_found(), at_ms)
    finally:
        for worker in workers:
            worker.kill()
            await asyncio.to_thread(worker.wait)
