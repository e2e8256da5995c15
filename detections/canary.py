"""Canaries: which events prove, sent on the real path, that a rule still speaks.

A canary is the first test of a rule that must match, moved to now and marked, so that nobody
takes it for real: a tenant of its own, and the mark that `schemas.canary` makes. Only rules whose
test fits into a short time have one; what learns for weeks is proven by its tests alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from detections.rule import Derived
from detections.rulebook import Case, Given, RuleTests, build
from detections.sigma.ruleset import CorrelationPlan, RuleSet
from detections.stateful.absence import Absence
from detections.stateful.chains import RISK
from detections.stateful.closing import Closing
from detections.stateful.memory import Terms
from detections.stateful.plans import machine_of, refuse
from detections.trial import loud_rules
from schemas.canary import RULE, TENANT, event_name, sign

SPAN_MS_MAX: Final = 15 * 60_000  # what is older than that counts as late
EVENTS_MAX: Final = 200
SENT_SPAN_MS: Final = 5 * 60_000  # a longer test is sent faster, where that changes nothing

# Of what a test says that stage 1 derives, only this comes with the events themselves, from action
# and resource. The rest is of the clock, the address or the directory, or says what a canary never
# is: late, or not ours.
_SENT: Final = frozenset({"is_protected", "data_class"})
_CLOCKED: Final = frozenset({"occurred", "is_off_hours"})  # by when it is sent


@dataclass(frozen=True, slots=True)
class Canary:
    """The events for one rule, in order, as the test has them.

    `wait_ms` is how long the rule's window stays open before it decides; 0 if it does so at once.
    """

    rule_id: str
    case: str
    events: tuple[Given, ...]
    wait_ms: int = 0

    @property
    def span_ms(self) -> int:
        """How old the first event is when the last is new."""
        return _span_ms(self.events)


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """All canaries, and which rules have none, with the reason."""

    canaries: tuple[Canary, ...]
    left_out: tuple[tuple[str, str], ...]


def plan_canaries(ruleset: RuleSet, tests: Mapping[str, RuleTests]) -> CanaryPlan:
    """Choose for each rule the first test that can be sent.

    Counts, sums and sequences are as true in five minutes as in a week; habits are not.
    """
    canaries, left_out = [], []
    waits = _waits_of(ruleset)
    habits = {plan.rule_id for plan in ruleset.behaviours if plan.type != RISK}
    for path, rule_ids in loud_rules(ruleset).items():
        cases = tests[path].cases if path in tests else ()
        reasons = []
        for case in (case for case in cases if case.is_match):
            reason = why_not(case, is_habit=rule_ids[0] in habits)
            if not reason:
                events, wait_ms = _hastened(case.events), waits.get(rule_ids[0], 0)
                canaries.append(Canary(rule_ids[0], case.name, events, wait_ms))
                break
            reasons.append(reason)
        else:
            left_out.append((rule_ids[0], reasons[0] if reasons else "it has no test"))
    return CanaryPlan(
        tuple(sorted(canaries, key=lambda canary: canary.rule_id)), tuple(sorted(left_out))
    )


def why_not(case: Case, *, is_habit: bool) -> str:
    """Say why a test can't be sent as a canary; '' if it can."""
    if len(case.events) > EVENTS_MAX:
        return f"its test has more than {EVENTS_MAX} events"
    if is_habit and _span_ms(case.events) > SPAN_MS_MAX:
        return "it learns for longer than events may be late"
    if any(given.fields.get("tenant") for given in case.events):
        return "its test is of a tenant"
    derived = [name for given in case.events for name in _unsent(given)]
    if len(case.events) == 1 and case.events[0].derived.is_off_hours:
        derived.append("off_hours")
    return f"its test needs {derived[0]}, which no canary has" if derived else ""


def _waits_of(ruleset: RuleSet) -> dict[str, int]:
    """Return the windows of the correlations that only a window's end decides."""
    return {
        plan.rule_id: plan.timespan_ms
        for plan in ruleset.correlations
        if not refuse(plan, ruleset) and _is_patient(plan, ruleset)
    }


def _is_patient(plan: CorrelationPlan, ruleset: RuleSet) -> bool:
    return isinstance(machine_of(plan, ruleset, Terms()), Absence | Closing)


def _span_ms(events: Sequence[Given]) -> int:
    times = [given.occurred_ms for given in events]
    return max(times) - min(times)


def _hastened(events: Sequence[Given]) -> tuple[Given, ...]:
    """Return the events in time order, brought nearer to each other if they are far apart."""
    ordered = sorted(events, key=lambda given: given.occurred_ms)
    span_ms = _span_ms(ordered)
    if span_ms <= SENT_SPAN_MS:
        return tuple(ordered)
    first_ms = ordered[0].occurred_ms
    return tuple(
        given._replace(
            occurred_ms=first_ms + (given.occurred_ms - first_ms) * SENT_SPAN_MS // span_ms
        )
        for given in ordered
    )


def _unsent(given: Given) -> Iterator[str]:
    """Name what a test states beyond its event, and publishing the event does not bring about."""
    moment = datetime.fromtimestamp(given.occurred_ms / 1000, UTC)
    bare = build(given.fields, {}, moment).derived
    for name in Derived._fields:
        stated = getattr(given.derived, name)
        if name not in _SENT and name not in _CLOCKED and stated != getattr(bare, name):
            is_list = isinstance(stated, tuple)
            yield f"{name} ({', '.join(map(str, stated))})" if is_list else name


def events_of(canary: Canary, now_ms: int, run: str, key: bytes) -> list[dict[str, Any]]:
    """Return the events to publish as they are, the last of them at `now_ms`, marked by `key`.

    Sessions, users and addresses stay those of the test: what counts them counts each run apart.
    """
    last_ms = max(given.occurred_ms for given in canary.events)
    events = []
    for number, given in enumerate(canary.events):
        at_ms = now_ms - (last_ms - given.occurred_ms)
        details = given.fields.get("details") or {}
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        event = {
            **given.fields,
            "tenant": TENANT,
            "event_id": event_name(run, number),
            "timestamp": f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z",
            "details": {**details, RULE: canary.rule_id},
        }
        events.append(sign(key, event))
    return events
