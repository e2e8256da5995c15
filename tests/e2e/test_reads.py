"""Who looks at the log leaves an event in it: with all parts there, Kafka away, and killed."""

import json
import sqlite3
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from cli.context import known_port
from tests.stack import Stack, lines, running, wait

pytestmark = pytest.mark.timeout(400)  # kills, and waits of up to 90 s for each to be over
EVENT = {"timestamp": "2025-10-11T14:23:15Z", "user": "jane", "action": "data.record.viewed"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("reads") / "data") as stack:
        stack.audit("publish", "-", stdin=lines([EVENT]))
        stack.settle(1)
        yield stack


def ask(stack: Stack, path: str, **parameters: Any) -> httpx.Response:
    token = (stack.data / "token").read_text().strip()
    return httpx.get(
        f"http://127.0.0.1:{known_port(stack.data, 'api')}{path}",
        params=parameters,
        headers={"authorization": f"Bearer {token}", "x-audit-operator": "root"},
        timeout=30,
    )


def reads(stack: Stack, marker: str) -> list[dict[str, Any]]:
    """Return the rows of reads whose question holds a marker."""
    answer = ask(stack, "/search.json", q=f'is:read details.query.user:"{marker}"', limit=1_000)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def test_a_read_is_in_the_log_with_who_and_what_and_how_many(stack: Stack) -> None:
    assert ask(stack, "/v1/events", user="jane").json()["events"]
    wait("the read to be stored", lambda: bool(reads(stack, "jane")), 30, tell=stack.tail)

    event = reads(stack, "jane")[0]

    assert (event["user"], event["action"]) == ("service-token", "audit.events.searched")
    assert event["category"] == "data_access"
    assert event["tenant"] == "audit-console"  # of no tenant whose auditor could see it
    assert "read" in event["flags"]
    assert len(event["details"].pop("audit_console_mark")) == 64
    assert event["details"] == {
        "path": "/v1/events",
        "query": {"user": "jane", "limit": 50},
        "rows": 1,
        "kind": "search",
        "operator_claimed": "root",
    }
    assert "audit.events.searched" not in ask(stack, "/v1/events").text


def test_health_is_green_and_sql_runs(stack: Stack) -> None:
    def is_green() -> bool:
        return bool(ask(stack, "/v1/health").json()["ok"])

    wait(
        "health to be green", is_green, 60, tell=lambda: json.dumps(ask(stack, "/v1/health").json())
    )
    sql = "SELECT user, count() AS n FROM events_v1 GROUP BY user"
    answer = ask(stack, "/sql.json", sql=sql, since="2025-01-01")
    assert ["jane", 1] in answer.json()["answer"]["rows"]
    period = ("--since", "2025-01-01", "--format", "csv")
    for statement in (sql, "-"):
        printed = stack.audit("sql", statement, *period, stdin=sql.encode())
        assert "user,n" in printed
        assert "jane,1" in printed


def test_reads_go_on_without_kafka_and_are_in_the_log_when_it_is_back(stack: Stack) -> None:
    stack.kill("kafka")
    for _ in range(20):
        assert ask(stack, "/v1/events", user="while-kafka-is-away").status_code == 200
    wait(
        "the reads to be stored",
        lambda: len(reads(stack, "while-kafka-is-away")) >= 20,
        90,
        tell=stack.tail,
    )
    # a repeat of what Kafka had taken when it was killed is known by its id
    assert len({event["event_id"] for event in reads(stack, "while-kafka-is-away")}) == 20


def test_no_read_that_was_answered_is_lost_when_the_service_is_killed(stack: Stack) -> None:
    for n in range(3):
        marker = f"killed-{n}"
        answered = 0
        stack.child("kafka").suspend()  # so that all of it is still in the outbox
        try:
            for _ in range(10):
                answered += ask(stack, "/v1/events", user=marker).status_code == 200
            stack.kill("store")
        finally:
            stack.child("kafka").resume()
        wait("the service", lambda: _is_up(stack), 90, tell=stack.tail)
        stored = partial(_has, stack, marker, 10)
        wait("the reads to be stored", stored, 90, tell=stack.tail)
        # what was on its way to Kafka comes twice, and is known by its id
        ids = {event["event_id"] for event in reads(stack, marker)}
        assert (answered, len(ids)) == (10, 10)
    assert _waiting(stack) <= 10


def _has(stack: Stack, marker: str, count: int) -> bool:
    return len(reads(stack, marker)) >= count


def _is_up(stack: Stack) -> bool:
    try:
        return ask(stack, "/v1/events", user="is-it-up").status_code == 200
    except httpx.HTTPError:
        return False


def _waiting(stack: Stack) -> int:
    with sqlite3.connect(stack.data / "console.sqlite3") as db:
        return int(db.execute("SELECT count(*) FROM outbox").fetchone()[0])


def test_an_event_that_only_poses_as_a_read_is_found_by_all_searches(stack: Stack) -> None:
    posing = {**EVENT, "user": "mallory", "action": "audit.events.viewed"}
    stack.audit("publish", "-", stdin=lines([posing]))

    def shown() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(stack, "/search.json", q="user:mallory").json()["events"]
        return found

    wait("the event to be stored", lambda: bool(shown()), 30, tell=stack.tail)
    assert "forged_read" in shown()[0]["flags"]

    def is_told() -> bool:
        promises = ask(stack, "/v1/health").json()["promises"]
        return any(one["state"] == "broken" and "forged" in one["found"] for one in promises)

    wait("health to tell of it", is_told, 60, tell=stack.tail)
