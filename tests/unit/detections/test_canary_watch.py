"""Which canary is due, which rule is silent: decided by times alone."""

from itertools import pairwise

from detections.canary import Canary
from detections.canary_watch import (
    AGAIN_MS,
    PATH,
    RETRY_MS,
    SILENT_RULE,
    Pace,
    Seen,
    Verdict,
    Watch,
)
from detections.rulebook import Given

HOUR_MS, SECOND_MS = 3_600_000, 1_000
DEADLINE_MS = 60 * SECOND_MS
PACE = Pace(HOUR_MS, DEADLINE_MS, grace_ms=900_000)
RULES = [f"rule-{number:02}" for number in range(60)]
SEEN_AFTER_MS = 2_000


def canary(rule_id: str, wait_ms: int = 0) -> Canary:
    return Canary(rule_id, "match 1", tuple[Given, ...](), wait_ms)


class World:
    """A watch on a clock that is ours, and rules of which some never answer."""

    def __init__(self, *canaries: Canary, broken: frozenset[str] = frozenset()) -> None:
        self.watch = Watch(PACE)
        self.now_ms = 1_780_000_000_000
        self.broken = set(broken)
        self.sent: dict[str, list[int]] = {}
        self.alerts: list[tuple[int, str]] = []
        self._answers: list[Seen] = []
        self.watch.use(canaries, self.now_ms)

    def go(self, ms: int) -> None:
        """Let time pass, a second a step."""
        for _ in range(ms // SECOND_MS):
            self.now_ms += SECOND_MS
            come = [seen for seen in self._answers if seen.at_ms <= self.now_ms]
            self._answers = [seen for seen in self._answers if seen.at_ms > self.now_ms]
            self.watch.fired(come)
            verdict: Verdict = self.watch.judge(self.now_ms)
            self.alerts += [(self.now_ms, alert.group) for alert in verdict.alerts]
            for due in self.watch.due(self.now_ms):
                run = f"{due.rule_id}-{self.now_ms}"
                self.watch.sent(due.rule_id, run, self.now_ms)
                self.sent.setdefault(due.rule_id, []).append(self.now_ms)
                if due.rule_id not in self.broken:
                    self._answers.append(Seen(due.rule_id, run, self.now_ms + SEEN_AFTER_MS))


def all_rules() -> list[Canary]:
    return [canary(rule) for rule in RULES]


def test_each_rule_has_its_turn_within_minutes_then_every_hour_spread_over_it() -> None:
    world = World(*all_rules())
    world.go(5 * 60_000)
    assert set(world.sent) == set(RULES)
    world.go(4 * HOUR_MS)
    for times in world.sent.values():
        later = [after - before for before, after in pairwise(times[1:])]
        assert later
        assert all(abs(gap - HOUR_MS) <= 2 * SECOND_MS for gap in later)
    second = sorted(times[2] for times in world.sent.values())
    assert second[-1] - second[0] > HOUR_MS * 9 // 10
    assert set(world.watch.states.values()) == {"ok"}
    assert world.alerts == []


def test_a_rule_that_stays_silent_is_named_once_a_day() -> None:
    world = World(*all_rules(), broken=frozenset({"rule-07"}))
    world.go(HOUR_MS)
    ((at_ms, group),) = world.alerts
    assert group == "rule=rule-07"
    assert at_ms <= world.sent["rule-07"][0] + 2 * DEADLINE_MS + SECOND_MS
    assert world.watch.states["rule-07"] == "silent"
    assert sum(state == "ok" for state in world.watch.states.values()) == len(RULES) - 1
    world.go(AGAIN_MS)
    assert len(world.alerts) == 2


def test_a_rule_that_speaks_again_is_well_within_minutes_and_said_anew_later() -> None:
    world = World(*all_rules(), broken=frozenset({"rule-07"}))
    world.go(HOUR_MS)
    world.broken.clear()
    world.go(RETRY_MS + DEADLINE_MS)
    assert world.watch.states["rule-07"] == "ok"
    world.broken.add("rule-07")
    world.go(2 * HOUR_MS)
    assert [group for _, group in world.alerts] == ["rule=rule-07"] * 2


def test_when_nothing_comes_back_one_alert_says_so() -> None:
    world = World(*all_rules(), broken=frozenset(RULES))
    world.go(2 * HOUR_MS)
    ((_, group),) = world.alerts
    assert group == PATH
    assert set(world.watch.states.values()) == {"silent"}
    world.broken.clear()
    world.go(RETRY_MS + DEADLINE_MS)
    assert set(world.watch.states.values()) == {"ok"}


def test_evidence_is_asked_for_where_rules_are_few() -> None:
    world = World(canary("good"), canary("broken"), broken=frozenset({"broken"}))
    world.go(2 * HOUR_MS)
    assert [group for _, group in world.alerts] == ["rule=broken"]


def test_a_rule_that_waits_for_a_windows_end_has_that_much_longer() -> None:
    world = World(canary("good"), canary("slow", 10 * 60_000), broken=frozenset({"slow"}))
    world.go(PACE.delay_ms + PACE.spread_ms)
    sent_ms = world.sent["slow"][0]
    world.go(2 * HOUR_MS)
    (at_ms, group) = world.alerts[0]
    assert group == "rule=slow"
    assert at_ms > sent_ms + 10 * 60_000 + PACE.grace_ms + DEADLINE_MS


def test_an_alert_of_another_rule_or_run_proves_nothing() -> None:
    watch = Watch(PACE)
    watch.use([canary("one"), canary("two")], 0)
    watch.sent("one", "run-1", 1_000)
    assert watch.fired([Seen("two", "run-1", 2_000), Seen("one", "run-0", 2_000)]) == []
    assert watch.fired([Seen("one", "", 2_000), Seen("gone", "run-1", 2_000)]) == []
    (row,) = watch.fired([Seen("one", "run-1", 2_000), Seen("one", "run-1", 3_000)])
    assert (row.rule_id, row.kind, row.at_ms) == ("one", "fired", 2_000)


def test_a_rule_that_was_removed_is_not_silent() -> None:
    watch = Watch(PACE)
    watch.use([canary("one"), canary("two")], 0)
    watch.sent("one", "run-1", 1_000)
    watch.use([canary("two")], 100_000)
    assert not watch.has_overdue(HOUR_MS)
    assert watch.judge(HOUR_MS) == ((), ())


def test_the_alert_is_a_real_one() -> None:
    now_ms = 1_780_000_000_000
    watch = Watch(PACE)
    watch.use([canary("only")], now_ms)
    watch.sent("only", "run-1", now_ms)
    (alert,) = watch.judge(now_ms + HOUR_MS).alerts
    assert alert.rule_id == SILENT_RULE
    assert not alert.canary
    assert "only" in alert.summary
