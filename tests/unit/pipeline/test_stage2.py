"""A book of signals: total, bounded, in time, and the same alerts however the runs are cut."""

from typing import Any, NamedTuple

import orjson
import pytest

from detections.sigma.load import load_rules
from detections.sigma.ruleset import RuleFile, RuleSet
from detections.stateful.keeper import Keeper
from detections.stateful.memory import NEVER, Terms
from pipeline import stage2
from pipeline.clocks import CLOCK_KEY, Clocks, encode_clocks
from pipeline.run import OutSignal, Run
from pipeline.stage2 import OVERFLOW_RULE, Book, BookTerms, Changes, Rules
from schemas.signal import Signal, encode, key_of
from tests.unit.runtime.fake_clock import FakeClock

NOW_MS = 1_760_197_600_000
DAY_MS = 86_400_000
RULES = """
title: Failed login
id: 00000000-0000-4000-8000-000000000001
name: failed
logsource: {product: dutycall}
detection:
  selection: {action: authentication.login.failure}
  condition: selection
---
title: Three failures
id: 00000000-0000-4000-8000-000000000002
name: three
correlation:
  type: event_count
  rules: [failed]
  group-by: [user]
  timespan: 10m
  condition: {gte: 3}
audit:
  runbook: "Search: audit search --user {user}"
---
title: Two accounts
id: 00000000-0000-4000-8000-000000000003
name: two-accounts
correlation:
  type: event_count
  rules: [three]
  group-by: []
  timespan: 1h
  condition: {gte: 2}
  generate: true
---
title: Too few
id: 00000000-0000-4000-8000-000000000004
name: few
correlation:
  type: event_count
  rules: [failed]
  group-by: [user]
  timespan: 1m
  condition: {lt: 3}
  generate: true
"""


class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def ruleset() -> RuleSet:
    found = load_rules([RuleFile("rules.yml", RULES)])
    assert found.refusals == ()
    return found


class Desk:
    """A book, and the log that it is given."""

    def __init__(self, groups_max: int = 1_000, terms: Terms | None = None) -> None:
        self.time = FakeClock(NOW_MS)
        self.rules = Rules(Keeper(ruleset(), terms), "version")
        self.bugs: list[Exception] = []
        bounds = BookTerms(groups_max, DAY_MS, on_bug=self.bugs.append)
        self.book = Book(self.rules, bounds, self.time.monotonic)
        self.offset = 0

    def take(self, *messages: tuple[bytes | None, bytes | None]) -> Changes:
        """Apply a run of these messages, and settle it as if it were written."""
        records = [Record(self.offset + n, NOW_MS, *m) for n, m in enumerate(messages)]
        self.offset += len(records)
        changes = self.book.take(Run("audit.signals", 0, records[0].offset, records))
        self.book.settle()
        return changes


def signal(
    user: str, offset: int, at_ms: int = NOW_MS, rule: str = "three", partition: int = 0
) -> OutSignal:
    who = (f"e-{offset}", user, "a.b", "", "", "")
    entry = (offset, at_ms, at_ms, 0, None, who)
    found = Signal(rule, 1, "default", (user,), "incarnation", partition, [entry])
    return OutSignal(key_of(found), encode(found))


def clock(clock_ms: int) -> OutSignal:
    return OutSignal(CLOCK_KEY, encode_clocks(Clocks("incarnation", 1, {"0": clock_ms})))


def alerts(changes: Changes) -> list[dict[str, Any]]:
    return [orjson.loads(alert.value) for alert in changes.alerts]


def test_alert_says_what_was_found_by_which_rules() -> None:
    desk = Desk()
    changes = desk.take(*[signal("jane@x.com", n) for n in range(3)])
    (alert,) = alerts(changes)
    assert changes.alerts[0].key.decode() == alert["alert_id"]
    assert alert["rule_id"] == "three"
    assert alert["rule_set"] == "version"
    assert alert["group"] == "user=jane@x.com"
    assert alert["runbook"] == "Search: audit search --user jane@x.com"
    assert alert["historical"] is False
    assert len(desk.book.groups) == 1


def test_repeats_change_nothing_and_are_not_written() -> None:
    desk = Desk()
    run = [signal("jane", n) for n in range(3)]
    desk.take(*run)
    assert desk.take(*run) == Changes({}, [], [])
    assert desk.rules.entries()["repeat"] == 3


def test_alert_that_another_rule_asks_for_is_told_to_it() -> None:
    desk = Desk()
    events = [signal(user, n) for n, user in enumerate(["a", "b"] * 3)]
    told = desk.take(*events).signals
    assert [key.split(b"\x1f")[0] for key, _ in told] == [b"two-accounts"] * 2
    (alert,) = alerts(desk.take(*told))
    assert alert["rule_id"] == "two-accounts"
    assert desk.take(*told).alerts == []


def test_window_is_judged_once_the_time_has_passed_it() -> None:
    desk = Desk(terms=Terms(grace_ms=1_000))
    assert alerts(desk.take(signal("jane", 1, rule="few"), clock(NOW_MS))) == []
    assert alerts(desk.take(clock(NOW_MS + 10_000))) == []
    (alert,) = alerts(desk.take(clock(NOW_MS + 120_000)))
    assert alert["rule_id"] == "few"
    assert alerts(desk.take(clock(NOW_MS + 240_000))) == []


def test_takeover_knows_what_waits_for_the_time() -> None:
    first, second = Desk(terms=Terms(grace_ms=1_000)), Desk(terms=Terms(grace_ms=1_000))
    written = dict(first.take(signal("jane", 1, rule="few")).states)
    for key, state in written.items():
        second.book.groups.load(key, state)
    for _ in second.book.open():
        pass
    (alert,) = alerts(second.take(clock(NOW_MS + 120_000)))
    assert alert["rule_id"] == "few"


@pytest.mark.parametrize(
    "message",
    [
        pytest.param((None, None), id="nothing"),
        pytest.param((b"k", b"{"), id="no JSON"),
        pytest.param((CLOCK_KEY, b"{}"), id="no clock"),
        pytest.param((b"other", signal("jane", 1).value), id="under another key"),
        pytest.param((None, signal("jane", 1).value), id="under no key"),
    ],
)
def test_message_that_is_none_is_counted_and_passed(
    message: tuple[bytes | None, bytes | None],
) -> None:
    desk = Desk()
    changes = desk.take(message, *[signal("jane", n) for n in range(3)])
    assert len(changes.alerts) == 1
    assert desk.rules.tally.malformed == 1
    assert desk.bugs == []


def test_state_that_can_not_be_read_begins_anew() -> None:
    desk = Desk()
    key = signal("jane", 0).key
    desk.book.groups.load(key, b"nonsense")
    desk.book.groups.load(b"no key of ours", b"x")
    for _ in desk.book.open():
        pass
    changes = desk.take(*[signal("jane", n) for n in range(3)])
    assert len(changes.alerts) == 1
    assert changes.states[b"no key of ours"] is None


@pytest.mark.parametrize("body", ["7", "null", '{"x": "y"}', "[[]]"])
def test_state_that_another_kind_of_rule_wrote_begins_anew(body: str) -> None:
    desk = Desk()
    for rule in ("three", "few"):
        state = f'[1,{{"incarnat:0":5}},[],{body}]'.encode()
        desk.book.groups.load(signal("jane", 0, rule=rule).key, state)
    for _ in desk.book.open():
        pass
    changes = desk.take(*[signal("jane", n) for n in range(6, 9)], clock(NOW_MS + DAY_MS))
    assert len(changes.alerts) == 1
    assert desk.bugs == []


def test_bug_on_one_signal_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    apply = desk.rules.keeper.apply

    def fail(signal: Signal, *rest: Any) -> Any:
        if signal.group == ("poison",):
            raise RuntimeError("hunter2")
        return apply(signal, *rest)

    monkeypatch.setattr(desk.rules.keeper, "apply", fail)
    changes = desk.take(signal("poison", 0), *[signal("jane", n) for n in range(3)])
    assert len(changes.alerts) == 1
    assert [type(bug) for bug in desk.bugs] == [RuntimeError]


def test_groups_are_bounded_and_what_was_lost_is_said() -> None:
    desk = Desk(groups_max=100)
    told = []
    for first in range(0, 300, 50):
        told += alerts(desk.take(*[signal(f"user{n}", n) for n in range(first, first + 50)]))
        assert len(desk.book.groups) <= 100
    assert {(a["rule_id"], a["group"]) for a in told} == {(OVERFLOW_RULE, "rule=three")}
    assert desk.rules.tally.shed["three"] >= 200
    assert desk.book.groups.get(signal("user299", 0).key) is not None


def test_flood_of_groups_leaves_nothing_that_waits_for_them() -> None:
    desk = Desk(groups_max=100)
    for first in range(0, 20_000, 500):
        desk.take(*[signal(f"user{n}", n, rule="few") for n in range(first, first + 500)])
    assert len(desk.book._due_ms) <= 100
    assert len(desk.book._due) <= 2 * 100 + stage2.DUE_STALE_MAX + 500


def test_more_groups_that_are_due_than_a_run_closes_are_closed_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stage2, "CLOSES_MAX", 10)
    desk = Desk()
    desk.take(*[signal(f"user{n}", n, rule="few") for n in range(40)])
    late = [clock(NOW_MS + DAY_MS)] * 20
    assert [len(desk.take(*late).alerts) for _ in range(3)] == [20, 20, 0]


def test_overflow_is_said_under_one_id_an_hour() -> None:
    ids = {stage2.overflow_alert("r", NOW_MS + n * 60_000).alert_id for n in range(-46, 14)}
    assert len(ids) == 1
    assert stage2.overflow_alert("r", NOW_MS + 3_600_000).alert_id not in ids


def test_state_too_large_for_the_broker_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage2, "STATE_BYTES_MAX", 10)
    desk = Desk()
    changes = desk.take(signal("jane", 1), signal("jane", 2, rule="few"))
    assert changes.states == {}
    assert desk.rules.tally.shed == {"three": 1, "few": 1}
    assert [alert["rule_id"] for alert in alerts(changes)] == [OVERFLOW_RULE] * 2
    assert desk.book._due_ms == {}


def test_group_that_nothing_can_touch_any_more_is_dropped() -> None:
    desk = Desk()
    desk.take(signal("jane", 1), clock(NOW_MS))
    desk.time.advance(stage2.SWEEP_PERIOD_S + 1)
    desk.take(clock(NOW_MS + 1))
    desk.take(clock(NOW_MS + 2))
    assert len(desk.book.groups) == 1
    desk.time.advance(stage2.SWEEP_PERIOD_S + 1)
    desk.take(clock(NOW_MS + DAY_MS))
    changes = desk.take(clock(NOW_MS + DAY_MS + 1))
    assert list(changes.states.values()) == [None]
    assert len(desk.book.groups) == 0
    assert desk.rules.tally.expired == 1


def test_new_rules_go_on_with_the_counts_of_the_old() -> None:
    desk = Desk()
    desk.take(signal("jane", 1), signal("jane", 2))
    desk.rules.use(Keeper(ruleset()), "later")
    (alert,) = alerts(desk.take(signal("jane", 3)))
    assert alert["rule_set"] == "later"
    assert desk.rules.entries()["taken"] == 3


def test_time_is_unknown_until_told() -> None:
    desk = Desk()
    desk.take(signal("jane", 1))
    assert desk.book.watermark_ms == NEVER
    desk.take(clock(NOW_MS))
    assert desk.book.watermark_ms == NOW_MS
