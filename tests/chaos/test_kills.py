"""Kill -9 of every process at random moments under load: nothing lost, nothing twice, in order."""

import os
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from cli.context import known_port
from tests.chaos.load import ALERT_EVERY
from tests.stack import CONSOLE, Stack, running, wait

KILLS = int(os.environ.get("AUDIT_TEST_KILLS", "8"))
RATE_PER_S = 500.0
ROLES = ("store", "pipeline", "kafka", "publisher")
BETWEEN_S = (1.0, 6.0)
ROOT = Path(__file__).parents[2]


class Load:
    """The publishing process, started again under a new run's name whenever it was killed."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.runs = 0

    def start(self) -> None:
        """Start a new run."""
        self.runs += 1
        bootstrap = f"127.0.0.1:{known_port(self._stack.data, 'kafka')}"
        script = "tests.chaos.load"
        words = [bootstrap, f"run{self.runs}", str(self._folder / "acked"), str(RATE_PER_S)]
        with (self._folder / "load.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", script, *words], cwd=ROOT, stderr=log
            )

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def acked(self) -> dict[str, tuple[int, int]]:
        """Return where the broker said that each acknowledged event lies."""
        found: dict[str, tuple[int, int]] = {}
        path = self._folder / "acked"
        for line in path.read_text().splitlines() if path.exists() else ():
            event_id, partition, offset = line.split(" ")
            assert event_id not in found, "the broker acknowledged one event twice"
            found[event_id] = (int(partition), int(offset))
        return found


@pytest.mark.timeout(600 + 60 * KILLS)
def test_every_acknowledged_event_is_stored_once_whatever_is_killed(tmp_path: Path) -> None:
    dice = random.Random(os.environ.get("AUDIT_TEST_SEED", "17"))
    with running(tmp_path / "data") as stack:
        load = Load(stack, tmp_path)
        load.start()
        wait("the first acknowledgements", lambda: len(load.acked()) > 100, 60, tell=stack.tail)
        roles = [ROLES[n % len(ROLES)] for n in range(KILLS)]
        dice.shuffle(roles)
        for role in roles:
            time.sleep(dice.uniform(*BETWEEN_S))
            if role == "publisher":
                load.kill()
                load.start()
            else:
                stack.kill(role)
        before = len(load.acked())
        wait("publishing to go on", lambda: len(load.acked()) > before + 200, 90, tell=stack.tail)
        load.kill()
        acked = load.acked()
        settled = settle(stack)
        stored = [event for event in stack.events() if event["source"] != CONSOLE]
        assert_exactly_once(acked, stored)
        assert settled["received"] == settled["stored"] >= len(stored)
        assert_alerts_once(stack, stored)
        assert_rules_with_a_memory_spoke(stack)


def settle(stack: Stack) -> dict[str, Any]:
    """Wait until nothing is on its way; the ledger balances all the while."""
    found: dict[str, Any] = {}

    def is_settled() -> bool:
        found.clear()
        found.update(stack.ledger())
        return bool(found) and found["received"] > 0 and found["lag"] == 0

    wait("the ledger to settle", is_settled, 120, tell=lambda: f"{found}\n{stack.tail()}")
    return found


def assert_exactly_once(acked: dict[str, tuple[int, int]], stored: list[dict[str, Any]]) -> None:
    """Compare what was acknowledged with the rows: each there, once, where the broker said."""
    counts = Counter(event["event_id"] for event in stored)
    assert [i for i in acked if counts[i] == 0] == [], "lost"
    assert [i for i, count in counts.items() if count > 1] == [], "twice"
    places = {e["event_id"]: (e["partition"], e["offset"]) for e in stored}
    for event_id, (partition, offset) in acked.items():
        # -1: the broker recognised a repeat of a batch whose first answer was lost
        assert places[event_id] == (partition, offset) or offset == -1
    # per partition and publishing run, later numbers lie at later offsets
    lanes: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    for event in stored:
        details = event["details"]
        lanes[event["partition"], details["run"]].append((event["offset"], details["number"]))
    for lane in lanes.values():
        users: dict[int, list[int]] = defaultdict(list)
        for _offset, number in sorted(lane):
            users[number % 24].append(number)
        for numbers in users.values():
            assert numbers == sorted(numbers), "out of order"


def assert_alerts_once(stack: Stack, stored: list[dict[str, Any]]) -> None:
    """Each alarming event has its alert, and no alert is there twice."""
    alarming = {e["event_id"] for e in stored if e["details"]["number"] % ALERT_EVERY == 0}

    def ids() -> list[str]:
        alerts = stack.json("alerts", "--rule", "failed-admin-login", "--limit", "10000")
        return [event_id for alert in alerts for event_id in alert["event_ids"]]

    wait("every alert", lambda: len(ids()) >= len(alarming), 30, tell=stack.tail)
    assert sorted(ids()) == sorted(alarming)


def assert_rules_with_a_memory_spoke(stack: Stack) -> None:
    """The administrator's failures are many within minutes: stage 2 says so, each time once."""

    def ids() -> list[str]:
        alerts = stack.json("alerts", "--rule", "brute-force", "--limit", "10000")
        return [alert["alert_id"] for alert in alerts]

    wait("an alert of a rule with a memory", lambda: bool(ids()), 60, tell=stack.tail)
    found = ids()
    assert len(found) == len(set(found))
