"""Which canary is due, which came back, and which rule has fallen silent. Pure.

A rule is called silent only on evidence that the path itself stands: a canary that was sent later
came back. If none does, the path is what is silent, and one alert says so instead of a hundred.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from detections.canary import Canary
from detections.stateful.alerts import to_rfc3339
from schemas.alert import Alert, alert_id

SILENT_RULE: Final = "audit-canary-silent"
PATH: Final = "path"  # stands for all rules
MARK: Final = "mark"  # stands for all rules, too: it is not known whether they are watched
STATES: Final = ("waiting", "ok", "silent")
AGAIN_MS: Final = 86_400_000  # a rule that stays silent is said to be so once a day
START_DELAY_MS: Final = 60_000  # what begins with us, the pipeline above all, becomes ready first
START_SPREAD_MS: Final = 180_000
RETRY_MS: Final = 300_000  # how soon a silent rule is tried again
SENDS_MAX: Final = 5  # rules at a time
NAMES_SHOWN: Final = 5
SUMMARY_MAX: Final = 1_024

Kind = Literal["sent", "fired", "silent"]


class Row(NamedTuple):
    """One thing that became of a canary, as it is kept."""

    rule_id: str
    run: str
    kind: Kind
    at_ms: int


class Seen(NamedTuple):
    """One alert that came of a canary: which rule found which run, when it was stored."""

    rule_id: str
    run: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How often each rule's canary is sent, and how long its alert may take."""

    period_ms: int
    deadline_ms: int
    grace_ms: int = 0  # after which a window that must be waited for is decided
    delay_ms: int = START_DELAY_MS
    spread_ms: int = START_SPREAD_MS


@dataclass(frozen=True, slots=True)
class _Rule:
    canary: Canary
    next_ms: int
    state: str = "waiting"
    run: str = ""  # that has not come back yet
    sent_ms: int = 0
    silent_ms: int = 0  # when its silence was said
    rounds: int = 0


class Verdict(NamedTuple):
    """What is overdue: what to keep of it, and what to say of it."""

    rows: tuple[Row, ...]
    alerts: tuple[Alert, ...]


class Watch:
    """Keeps count of the canaries of all rules. Times are given, and may only grow."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._rules: dict[str, _Rule] = {}
        self._proven_ms = 0  # the path stood for what was sent then
        self._path_ms = 0  # when the path was said to be silent

    def use(self, canaries: Sequence[Canary], now_ms: int) -> None:
        """Watch these from now on. A rule that is new has its turn like those at the start."""
        pace, known = self._pace, self._rules
        spread_ms = min(pace.spread_ms, pace.period_ms)
        self._rules = {}
        for number, canary in enumerate(canaries):
            share_ms = number * spread_ms // len(canaries)
            fresh = _Rule(canary, now_ms + pace.delay_ms + share_ms)
            self._rules[canary.rule_id] = replace(known.get(canary.rule_id, fresh), canary=canary)

    @property
    def states(self) -> Mapping[str, str]:
        """What is known of each rule."""
        return {rule_id: rule.state for rule_id, rule in self._rules.items()}

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest run was sent that has not come back; None if all have."""
        return min((rule.sent_ms for rule in self._rules.values() if rule.run), default=None)

    @property
    def runs(self) -> frozenset[str]:
        """The runs that are waited for."""
        return frozenset(rule.run for rule in self._rules.values() if rule.run)

    def due(self, now_ms: int) -> list[Canary]:
        """Return whose turn it is, at most `SENDS_MAX`; nobody's who is still waited for."""
        idle = [rule for rule in self._rules.values() if not rule.run]
        waiting = [rule for rule in idle if rule.next_ms <= now_ms]
        if not waiting and self._lacks_evidence(now_ms):
            waiting = [rule for rule in idle if rule.state == "ok"][:1]
        waiting.sort(key=lambda rule: rule.next_ms)
        return [rule.canary for rule in waiting[:SENDS_MAX]]

    def sent(self, rule_id: str, run: str, now_ms: int) -> Row:
        """Note that the broker has a canary's events."""
        rule = self._rules[rule_id]
        next_ms = self._next_ms(rule, now_ms)
        self._rules[rule_id] = replace(
            rule, run=run, sent_ms=now_ms, next_ms=next_ms, rounds=rule.rounds + 1
        )
        return Row(rule_id, run, "sent", now_ms)

    def fired(self, seen: Iterable[Seen]) -> list[Row]:
        """Note alerts that came; those of other rules about the same events say nothing."""
        rows = []
        for rule_id, run, at_ms in seen:
            rule = self._rules.get(rule_id)
            if rule is None or not run or rule.run != run:
                continue
            self._proven_ms, self._path_ms = max(self._proven_ms, rule.sent_ms), 0
            self._rules[rule_id] = replace(rule, run="", state="ok", silent_ms=0)
            rows.append(Row(rule_id, run, "fired", at_ms))
        return rows

    def has_overdue(self, now_ms: int) -> bool:
        """Say whether `judge` would find anything: what it needs may be dear."""
        return any(self._is_overdue(rule, now_ms) for rule in self._rules.values())

    def judge(self, now_ms: int) -> Verdict:
        """Give up what did not come in time."""
        late = [rule for rule in self._rules.values() if self._is_overdue(rule, now_ms)]
        if not late:
            return Verdict((), ())
        rows = [Row(rule.canary.rule_id, rule.run, "silent", now_ms) for rule in late]
        alone = [rule for rule in late if rule.sent_ms <= self._proven_ms]
        alerts = []
        for rule in late:
            said_ms = rule.silent_ms
            if rule in alone and now_ms - said_ms >= AGAIN_MS:
                said_ms = now_ms
                alerts.append(silent_alert((rule.canary.rule_id,), rule.run, now_ms))
            next_ms = min(rule.next_ms, now_ms + RETRY_MS)
            self._rules[rule.canary.rule_id] = replace(
                rule, run="", state="silent", silent_ms=said_ms, next_ms=next_ms
            )
        lost = [rule for rule in late if rule not in alone]
        if lost and now_ms - self._path_ms >= AGAIN_MS:
            self._path_ms = now_ms
            names = [rule.canary.rule_id for rule in lost]
            alerts.append(silent_alert(names, lost[0].run, now_ms, is_path=True))
        return Verdict(tuple(rows), tuple(alerts))

    def _lacks_evidence(self, now_ms: int) -> bool:
        """Say whether one is late and nothing is under way that would show that the path stands."""
        runs = [rule.sent_ms for rule in self._rules.values() if rule.run]
        late_ms = now_ms - self._pace.deadline_ms
        return bool(runs) and max(self._proven_ms, *runs) < late_ms

    def _is_overdue(self, rule: _Rule, now_ms: int) -> bool:
        if not rule.run:
            return False
        wait_ms = rule.canary.wait_ms
        due_ms = rule.sent_ms + self._pace.deadline_ms
        due_ms += wait_ms + self._pace.grace_ms if wait_ms else 0
        if rule.sent_ms > self._proven_ms:
            due_ms += self._pace.deadline_ms  # evidence that the path stands may still come
        return now_ms > due_ms

    def _next_ms(self, rule: _Rule, now_ms: int) -> int:
        """Return the next turn: after the first round the rules spread over the whole period."""
        period_ms = self._pace.period_ms
        if rule.rounds:
            return max(rule.next_ms + period_ms, now_ms + period_ms // 2)
        places = list(self._rules)
        share_ms = places.index(rule.canary.rule_id) * period_ms // len(places)
        return now_ms + period_ms // 2 + share_ms


def run_name(rule_id: str, now_ms: int) -> str:
    """Name a run: short, unique for a rule and moment."""
    return f"{hashlib.sha256(rule_id.encode()).hexdigest()[:10]}-{now_ms:x}"


def silent_alert(rule_ids: Sequence[str], run: str, now_ms: int, *, is_path: bool = False) -> Alert:
    """Say which rules did not find what they must; the same for the same run."""
    shown = ", ".join(rule_ids[:NAMES_SHOWN])
    more = f" and {len(rule_ids) - NAMES_SHOWN} more" if len(rule_ids) > NAMES_SHOWN else ""
    group = PATH if is_path else f"rule={rule_ids[0]}"
    at = to_rfc3339(now_ms)
    told = (
        f"No canary has come back: {shown}{more}. Detection as a whole may be down or behind."
        if is_path
        else f"The rule {shown} did not find the event that it must find; others find theirs."
    )
    return Alert(
        alert_id=alert_id(SILENT_RULE, 1, group, run),
        rule_id=SILENT_RULE,
        rule_version=1,
        title="Detection is silent" if is_path else "A detection rule is silent",
        severity="critical" if is_path else "high",
        tenant="default",
        group=group,
        summary=told[:SUMMARY_MAX],
        why="What such a rule is for goes unseen now, and nothing else would say so.",
        runbook=(
            "audit rules canaries\naudit rules test\naudit doctor\n"
            "An exception or a policy file may hide what the rule's first test needs."
        ),
        occurred=at,
        recorded=at,
    )


def unknown_alert(run: str, now_ms: int) -> Alert:
    """Say that a canary came back without our mark; the same for the same run."""
    at = to_rfc3339(now_ms)
    return Alert(
        alert_id=alert_id(SILENT_RULE, 1, MARK, run),
        rule_id=SILENT_RULE,
        rule_version=1,
        title="Canaries are not known, or forged",
        severity="high",
        tenant="default",
        group=MARK,
        summary="A canary came back without a valid mark, and none with one: few are sent now.",
        why="A rule that falls silent would not be noticed meanwhile.",
        runbook=(
            "audit doctor\nGive AUDIT_CANARY_KEY_FILE the same key in pipeline and store, and "
            "start both again. If it is the same, somebody forges canaries: see who sent it."
        ),
        occurred=at,
        recorded=at,
    )
