"""Hostile messages amid ordinary events, and a replay once the cause of a refusal is mended."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from cli.context import known_port
from producers.lane import Receipt
from producers.publisher import Publisher
from schemas.topics import EVENTS
from tests.corpus import VALID, hostile_messages
from tests.stack import CONSOLE, Stack, lines, running, wait

HOSTILE = 10_000
ORDINARY_EVERY = 10
SEED = 7
# what could move a cursor, reorder a line or end one early: C0, DEL, C1, bidi, line separators
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def ordinary(number: int) -> bytes:
    """Return an event that is as it should be."""
    return orjson.dumps(VALID | {"event_id": f"ordinary-{number}", "details": {"number": number}})


async def publish_raw(bootstrap: str) -> int:
    """Publish the corpus with an ordinary event after each so many; return how many were taken."""
    messages: list[tuple[bytes, bytes | None]] = []
    nothings = 0
    for number, message in enumerate(hostile_messages(SEED, HOSTILE)):
        if message is None:
            nothings += 1
        else:
            messages.append((message, b"\xff\x00key" if number % 7 == 0 else None))
        if number % ORDINARY_EVERY == 0:
            messages.append((ordinary(number), None))
    async with Publisher(bootstrap, deadline_s=60) as publisher:
        outcomes = await publisher.publish_many_bytes(messages)
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for _ in range(nothings):
        await producer.send_and_wait(EVENTS, value=None, key=b"k")
    await producer.stop()
    return len(messages) + nothings


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that took the whole corpus, without its pipeline being started anew."""
    with running(tmp_path_factory.mktemp("hostile") / "data") as stack:
        pids = {role: stack.child(role).pid for role in ("pipeline", "store")}
        count = asyncio.run(publish_raw(f"127.0.0.1:{known_port(stack.data, 'kafka')}"))
        settled = stack.settle(count, 100)
        assert settled["difference"] == 0
        assert settled["stored"] + settled["quarantined"] == count
        assert {role: stack.child(role).pid for role in pids} == pids
        yield stack


@pytest.mark.timeout(180)
def test_each_message_is_one_row_and_every_ordinary_event_is_stored(stack: Stack) -> None:
    ledger = stack.own()
    stored = [event for event in stack.events() if event["source"] != CONSOLE]
    quarantined = stack.json("quarantine", "list", "--limit", "100000")
    assert len(stored) == ledger["stored"]
    assert len(quarantined) == ledger["quarantined"]
    places = [(row["partition"], row["offset"]) for row in [*stored, *quarantined]]
    assert len(set(places)) == len(places) == ledger["received"]
    numbers = {e["details"].get("number") for e in stored if e["event_id"].startswith("ordinary-")}
    assert numbers >= set(range(0, HOSTILE, ORDINARY_EVERY))


@pytest.mark.parametrize(
    "words",
    [
        ("search", "--limit", "20000"),
        ("search", "--limit", "20000", "--format", "csv"),
        ("search", "--limit", "20000", "--format", "jsonl"),
        ("search", "--limit", "20000", "--json"),
        ("quarantine", "list", "--limit", "20000"),
        ("quarantine", "list", "--limit", "20000", "--json"),
        ("alerts", "--limit", "10000"),
        ("alerts", "--limit", "10000", "--json"),
    ],
    ids=" ".join,
)
def test_nothing_that_is_printed_moves_a_cursor(stack: Stack, words: tuple[str, ...]) -> None:
    found = CONTROLS.search(stack.audit(*words))
    assert found is None, ascii(found)


def test_quarantined_bytes_are_shown_harmless(stack: Stack) -> None:
    rows = stack.json("quarantine", "list", "--limit", "20000")
    first_of_each = {row["reason"]: row for row in rows}
    assert len(first_of_each) > 10
    for row in list(first_of_each.values())[:12]:
        text = stack.audit("quarantine", "show", f"{row['partition']}:{row['offset']}")
        assert CONTROLS.search(text) is None
        assert row["reason"] in text


def unknown_field(number: int) -> dict[str, Any]:
    """Return an event that a strict pipeline refuses; it would raise an alert."""
    return VALID | {
        "event_id": f"strict-{number}",
        "user": "admin@company.com",
        "role": "admin",
        "action": "authentication.login.failure",
        "team": "night shift",
    }


@pytest.mark.timeout(180)
def test_what_a_strict_pipeline_refused_is_moved_over_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, env={"AUDIT_PIPELINE_STRICT": "true"}) as strict:
        strict.audit("publish", "--raw", "-", stdin=lines([unknown_field(n) for n in range(30)]))
        strict.audit("publish", "--raw", "-", stdin=b"no event\n" + lines([VALID]))
        settled = strict.settle(32)
        assert (settled["stored"], settled["quarantined"]) == (1, 31)
        before = strict.json("quarantine", "list")
        assert strict.stop() == 0
    with running(data) as stack:
        report = json.loads(stack.audit("quarantine", "replay", "--json"))
        assert (report["replayed"], report["still_rejected"]) == (30, 1)
        assert "replayed 0, still rejected 1" in stack.audit("quarantine", "replay")
        ledger = stack.own()
        assert (ledger["stored"], ledger["quarantined"], ledger["difference"]) == (31, 1, 0)
        events = stack.events("--user", "admin@company.com")
        assert {e["event_id"] for e in events} == {f"strict-{n}" for n in range(30)}
        refused = [row for row in before if row["reason"] == "message:unknown_fields"]
        assert {(e["partition"], e["offset"]) for e in events} == {
            (row["partition"], row["offset"]) for row in refused
        }
        wanted = sorted(f"strict-{n}" for n in range(30))

        def alerted() -> list[str]:
            found = stack.json("alerts", "--rule", "failed-admin-login", "--limit", "1000")
            return sorted(event_id for alert in found for event_id in alert["event_ids"])

        wait("an alert for each", lambda: len(alerted()) >= 30, 30, tell=stack.tail)
        assert alerted() == wanted
