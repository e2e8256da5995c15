"""A rule set at work without Kafka: events in, alerts out, under the ids that they have live.

Tests of rules and backtests run through here; what it does is what stages 1 and 2 do, in one
process and with all state in memory. Pure.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from detections.rule import Derived, Fields, Finding, Hidden
from detections.rule_explain import misfit_of
from detections.rulebook import NO_TESTS, Case, Given, RuleTests
from detections.sigma.detector import SigmaDetector
from detections.sigma.ruleset import RuleSet
from detections.sigma.vocabulary import own_rules
from detections.stateful.extractor import Extractor, Origin
from detections.stateful.keeper import Applied, Keeper
from detections.stateful.memory import NEVER
from schemas.alert import Severity, alert_id
from schemas.signal import Signal, key_of, parse_key
from schemas.topics import EVENTS

GROUPS_MAX: Final = 200_000  # at about a kilobyte each
RUN_EVENTS_MAX: Final = 500  # of a test, before what they tell is applied
SWEEP_EVERY: Final = 64  # settlements
DAY_MS: Final = 86_400_000
SETTLED_MS: Final = 900 * DAY_MS  # after which no window is open any more
WHO: Final = ("event_id", "user", "action", "resource", "ip_address", "session_id")
SILENCE: Final = "silent_source"  # the one rule that more time alone makes fire


class Raised(NamedTuple):
    """One alert, as far as its reader needs it."""

    alert_id: str
    rule_id: str
    severity: Severity
    title: str
    group: str
    summary: str
    user: str
    event_ids: tuple[str, ...]
    occurred_ms: int


class Trial:
    """Judges events by a rule set; `hidden` and `shed` count what exceptions and bounds took."""

    def __init__(
        self,
        ruleset: RuleSet,
        *,
        detector: SigmaDetector | None = None,
        groups_max: int = GROUPS_MAX,
    ) -> None:
        self.ruleset: Final = ruleset
        self.detector: Final = detector or SigmaDetector(ruleset)
        self.hidden: Final[list[Hidden]] = []
        self.shed = 0
        self._extractor: Final = Extractor(ruleset)
        self._keeper: Final = Keeper(ruleset)
        self._watermark_ms = NEVER
        self._groups_max: Final = groups_max
        self._states: dict[bytes, bytes] = {}
        self._due_ms: dict[bytes, int] = {}
        self._settled = 0

    def take(self, fields: Fields, derived: Derived, origin: Origin) -> Sequence[Raised]:
        """Judge one event; what rules with a memory make of it comes with `settle`."""
        findings, hits, hidden = self.detector.judge(fields, derived)
        if hidden:
            self.hidden.extend(hidden)
        if hits or findings:
            self._extractor.take(hits, findings, fields, derived, origin)
        return [_raise(finding, origin) for finding in findings] if findings else ()

    def settle(
        self, watermark_ms: int, is_served: Callable[[str], bool] = lambda _rule: True
    ) -> list[Raised]:
        """Apply what the events told, then decide what waited for the watermark.

        `watermark_ms`: no event recorded before it is still to come. Only rules that are served
        decide.
        """
        raised: list[Raised] = []
        self._apply(self._extractor.drain(), raised)
        self._watermark_ms = watermark_ms
        while ripe := self._ripe(is_served):
            told: list[Signal] = []
            for key in ripe:
                state = self._states.pop(key)
                applied = self._keeper.close(parse_key(key), state, watermark_ms)
                told += self._keep(key, applied, raised)
            self._apply(told, raised)
        self._settled += 1
        if self._settled % SWEEP_EVERY == 0:
            self._sweep()
        return raised

    def _apply(self, signals: Sequence[Signal], raised: list[Raised]) -> None:
        queue = deque(signals)
        while queue:
            signal = queue.popleft()
            key = key_of(signal)
            state = self._states.pop(key, None)
            applied = self._keeper.apply(signal, state, self._watermark_ms)
            queue.extend(self._keep(key, applied, raised))

    def _ripe(self, is_served: Callable[[str], bool]) -> list[bytes]:
        return [
            key
            for key, due_ms in self._due_ms.items()
            if due_ms <= self._watermark_ms and is_served(parse_key(key).rule)
        ]

    def _keep(self, key: bytes, applied: Applied, raised: list[Raised]) -> Sequence[Signal]:
        """Store a state, collect its alerts, and return what they tell other rules."""
        self._due_ms.pop(key, None)
        if applied.state is not None:
            self._states[key] = applied.state
            if applied.due_ms is not None:
                self._due_ms[key] = applied.due_ms
        if len(self._states) > self._groups_max:
            self._drop(next(iter(self._states)))  # the one not touched for longest
            self.shed += 1
        raised += [
            Raised(*(getattr(alert, name) for name in Raised._fields)) for alert in applied.alerts
        ]
        return applied.signals

    def _drop(self, key: bytes) -> None:
        del self._states[key]
        self._due_ms.pop(key, None)

    def _sweep(self) -> None:
        for key, state in list(self._states.items()):
            expires_ms = self._keeper.expires_ms(parse_key(key), state)
            if expires_ms is not None and expires_ms <= self._watermark_ms:
                self._drop(key)


def _raise(finding: Finding, origin: Origin) -> Raised:
    """Name a finding as stage 1 does: by the coordinates of its event."""
    place = f"{origin.incarnation}-{EVENTS}-{origin.partition}-{origin.offset}"
    return Raised(
        alert_id(finding.rule_id, finding.rule_version, place, place),
        finding.rule_id,
        finding.severity,
        finding.title,
        place,
        finding.summary,
        origin.who[1],
        (origin.who[0],),
        origin.occurred_ms,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one test; `said` is '' if it passed."""

    path: str
    rule_id: str
    case: str
    is_match: bool
    said: str


def run_tests(
    ruleset: RuleSet,
    tests: Mapping[str, RuleTests],
    is_chosen: Callable[[str], bool] = lambda _path: True,
) -> list[Outcome]:
    """Run the tests of each chosen file against its rule; one of ours without them fails as such.

    The whole rule set is at work, so that risk and correlations see what they would see live.
    """
    detector = SigmaDetector(ruleset)
    own = own_rules(ruleset)
    memoryless = {rule.rule_id for rule in ruleset.rules if not rule.is_silent}
    found = []
    for path, rule_ids in sorted(loud_rules(ruleset).items()):
        if not is_chosen(path):
            continue
        given = tests.get(path) or RuleTests(path, faults=NO_TESTS)
        if given.faults == NO_TESTS and own.isdisjoint(rule_ids):
            continue
        faults = (*given.faults, *(["one rule a file, please"] if rule_ids[1:] else []))
        found += [Outcome(path, rule_ids[0], "", is_match=True, said=said) for said in faults]
        for case in given.cases:
            rule_id = rule_ids[0]
            count = (
                _count_findings(detector, case, rule_id)
                if rule_id in memoryless
                else _count_alerts(Trial(ruleset, detector=detector), case, rule_id)
            )
            said = _judge(case, count)
            if said and not count and (why := _misfit(ruleset, rule_id, case)):
                said = f"{said}: {why}"
            found.append(Outcome(path, rule_id, case.name, case.is_match, said))
    return found


def _misfit(ruleset: RuleSet, rule_id: str, case: Case) -> str:
    """Say why a rule, or those that it is made of, never even see the events of a test."""
    asked: set[int | str] = {rule_id}
    for plan in ruleset.correlations:
        asked |= set(plan.rules) if plan.rule_id == rule_id else set()
    rules = [rule for rule in ruleset.rules if rule.index in asked or rule.rule_id in asked]
    found = [misfit_of(r, given.fields, given.derived) for r in rules for given in case.events]
    return found[0] if found and all(found) else ""


def loud_rules(ruleset: RuleSet) -> dict[str, list[str]]:
    """Return by path the rules that raise alerts of their own."""
    loud: dict[str, list[str]] = {}
    plans = [plan for plan in ruleset.correlations if not plan.is_silent]
    rules = [rule for rule in ruleset.rules if not rule.is_silent]
    for described in (*rules, *plans, *ruleset.behaviours):
        loud.setdefault(described.path, []).append(described.rule_id)
    return loud


def _judge(case: Case, count: int) -> str:
    if case.alerts is not None:
        return "" if count == case.alerts else f"{count} alerts, {case.alerts} expected"
    if case.is_match:
        return "" if count else "it does not match"
    return "it matches" if count else ""


def _count_findings(detector: SigmaDetector, case: Case, rule_id: str) -> int:
    verdicts = [detector.judge(given.fields, given.derived) for given in case.events]
    return sum(finding.rule_id == rule_id for v in verdicts for finding in v.findings)


def _count_alerts(trial: Trial, case: Case, rule_id: str) -> int:
    events = sorted(case.events, key=lambda given: given.occurred_ms)
    silences = {plan.rule_id for plan in trial.ruleset.behaviours if plan.type == SILENCE}
    raised: list[Raised] = []
    waiting, settled_ms = 0, events[0].occurred_ms
    for offset, given in enumerate(events):
        if waiting >= RUN_EVENTS_MAX or given.occurred_ms - settled_ms >= DAY_MS:
            raised += trial.settle(given.occurred_ms)
            waiting, settled_ms = 0, given.occurred_ms
        trial.take(given.fields, given.derived, _origin_of(given, offset))
        waiting += 1
    last_ms = events[-1].occurred_ms
    raised += trial.settle(last_ms + 1)
    raised += trial.settle(last_ms + SETTLED_MS, lambda rule: rule not in silences)
    return len({alert.alert_id for alert in raised if alert.rule_id == rule_id})


def _origin_of(given: Given, offset: int) -> Origin:
    fields = given.fields
    who = [str(fields.get(name) or "") for name in WHO]
    who[0] = who[0] or f"test-{offset}"
    tenant = str(fields.get("tenant") or "default")
    at_ms = given.occurred_ms
    return Origin(tenant, "test", 0, offset, at_ms, at_ms, tuple(who))  # type: ignore[arg-type]  # six texts
