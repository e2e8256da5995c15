"""Alerts as signals: to correlations that refer to the rule, and to those that add up risk. Pure.

What an alert tells other rules must not depend on which event completed it: its time is the start
of its bucket, its values are those of its group.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from detections.sigma.ruleset import CorrelationPlan, RuleSet
from detections.stateful.alerts import Plan, StatefulAlert
from detections.stateful.memory import Crossing
from detections.stateful.novelty import DAY_MS
from detections.stateful.rate import HOUR_MS
from detections.stateful.silence import MINUTE_MS
from schemas.signal import CHAINED, Signal, Value

RISK: Final = "risk"

_BUCKETS_MS: Final[Mapping[str, int]] = {
    "first_seen": DAY_MS,
    "dormant": DAY_MS,
    "rate": HOUR_MS,
    "silent_source": MINUTE_MS,
}


class _Feed(NamedTuple):
    """Where alerts of a rule go: a rule, its slot, and which group values are its own."""

    rule: str
    version: int
    slot: int
    group: tuple[str, ...]
    values: tuple[str, ...]


class Chains:
    """Knows which rules are fed by alerts of which."""

    def __init__(self, ruleset: RuleSet) -> None:
        self._feeds: Final[dict[str, list[_Feed]]] = {}
        for plan in ruleset.correlations:
            for slot, rule in enumerate(plan.rules):
                if isinstance(rule, str):
                    group = tuple(plan.field_in(rule, name) for name in plan.group_by)
                    values = tuple(plan.field_in(rule, name) for name in plan.fields)
                    feed = _Feed(plan.rule_id, plan.version, slot, group, values)
                    self._feeds.setdefault(rule, []).append(feed)
        self._risks: Final = [
            _Feed(plan.rule_id, plan.version, 0, tuple(plan.parameters["group"]), ())
            for plan in ruleset.behaviours
            if plan.type == RISK
        ]

    def signals(
        self,
        plan: Plan,
        tenant: str,
        group: Sequence[str],
        alerts: Sequence[StatefulAlert],
        crossings: Sequence[Crossing],
    ) -> tuple[Signal, ...]:
        """Return what the alerts of one state tell other rules. No alert of risk tells anything."""
        feeds = self._feeds.get(plan.rule_id, ())
        if plan.type == RISK or not (feeds or self._risks):
            return ()
        names = plan.group_by if isinstance(plan, CorrelationPlan) else plan.parameters["group"]
        known = {"tenant": tenant, **dict(zip(names, group, strict=False))}
        is_silent = isinstance(plan, CorrelationPlan) and plan.is_silent
        found = []
        for alert, crossing in zip(alerts, crossings, strict=True):
            start_ms = crossing.bucket * _bucket_ms(plan)
            for feed in feeds:
                texts: Value = [known.get(name) for name in feed.values]
                found.append(_signal(feed, known, (alert, crossing), start_ms, texts or None))
            if plan.risk > 0 and not is_silent:
                for feed in self._risks:
                    value: Value = [plan.risk, plan.rule_id]
                    found.append(_signal(feed, known, (alert, crossing), start_ms, value))
        return tuple(signal for signal in found if signal is not None)


def _bucket_ms(plan: Plan) -> int:
    """Return the length of the buckets that a plan's alerts are named by."""
    if isinstance(plan, CorrelationPlan):
        return plan.timespan_ms
    return int(_BUCKETS_MS.get(plan.type) or plan.parameters["repeat"])


def _signal(
    feed: _Feed,
    known: Mapping[str, str],
    told: tuple[StatefulAlert, Crossing],
    start_ms: int,
    value: Value,
) -> Signal | None:
    """Make the signal of one alert; None if the alert's group lacks what the rule groups by."""
    if not all(name in known for name in feed.group):
        return None
    alert, crossing = told
    who = (alert.alert_id, *crossing.who[1:])
    entry = (0, start_ms, max(0, crossing.recorded_ms), feed.slot, value, who)
    group = tuple(known[name] for name in feed.group)
    return Signal(feed.rule, feed.version, alert.tenant, group, "", CHAINED, [entry])


def made_of(plan: Plan, ruleset: RuleSet) -> frozenset[str]:
    """Return a plan's rule and the correlations that feed it, however deep; none is a circle."""
    found, waiting = {plan.rule_id}, [plan]
    while waiting:
        plan = waiting.pop()
        if isinstance(plan, CorrelationPlan):
            fed_by = {rule for rule in plan.rules if isinstance(rule, str)} - found
            found |= fed_by
            waiting += [other for other in ruleset.correlations if other.rule_id in fed_by]
    return frozenset(found)
