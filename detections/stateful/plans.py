"""Which machine serves a plan, and which plans none could serve. Pure."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from math import ceil, floor
from typing import Any, Final

from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan, RuleSet
from detections.stateful.absence import Absence
from detections.stateful.adding import SCALE, ValueSum
from detections.stateful.closing import Closing
from detections.stateful.conditions import has_not, holds, is_conjunction, wanted_slots
from detections.stateful.counting import EventCount
from detections.stateful.memory import Machine, Terms
from detections.stateful.novelty import DAY_MS, Dormant, FirstSeen
from detections.stateful.ordered import Ordered
from detections.stateful.presence import Bounds, Presence, slot_of, value_of
from detections.stateful.rate import HOUR_MS, Rate
from detections.stateful.release import Release
from detections.stateful.risk import Risk
from detections.stateful.silence import MINUTE_MS, Silence
from detections.stateful.travel import Travel
from schemas.errors import Misconfigured

EVENTS_MAX: Final = 10_000  # that one group must be able to hold
VALUES_MAX: Final = 2_000

_MEDIAN: Final = 50
_COUNTS: Final = ("event_count", "value_count")
_NEED_FIELD: Final = ("value_count", "value_sum", "value_avg", "value_percentile", "value_median")


def machine_of(plan: CorrelationPlan | BehaviourPlan, ruleset: RuleSet, terms: Terms) -> Machine:
    """Build the machine of a plan. Raises `Misconfigured` for a plan that none could serve."""
    if isinstance(plan, BehaviourPlan):
        return _behaviour(plan, ruleset, terms)
    grace_ms = terms.grace_ms + _chain_ms(plan, ruleset, terms)
    is_chained = any(isinstance(rule, str) for rule in plan.rules)
    if plan.type in ("temporal", "temporal_ordered"):
        machine = _temporal(plan, grace_ms)
    else:
        machine = _measuring(plan, grace_ms)
    if is_chained and not isinstance(machine, EventCount | Presence | Ordered):
        raise Misconfigured(
            "a correlation of correlations can only count up, or ask which occurred: "
            "what waits for a window's end could miss their alerts"
        )
    return machine


def refuse(plan: CorrelationPlan | BehaviourPlan, ruleset: RuleSet) -> str:
    """Say why a plan can't be served, with the cure; '' if it can."""
    try:
        machine_of(plan, ruleset, Terms())
    except Misconfigured as error:
        return str(error)
    return ""


def _chain_ms(plan: CorrelationPlan, ruleset: RuleSet, terms: Terms) -> int:
    """Return by how much alerts of the correlations that feed a plan may come later than events."""
    feeding = [other for other in ruleset.correlations if other.rule_id in plan.rules]
    for other in feeding:
        for name in (*plan.group_by, *plan.fields):
            if plan.field_in(other.rule_id, name) not in other.group_by:
                raise Misconfigured(
                    f"groups by {name!r}, which the correlation {other.rule_id!r} does not have"
                    " in its group-by: add it there"
                )
    spans = [2 * other.timespan_ms + _chain_ms(other, ruleset, terms) for other in feeding]
    return max(spans) + terms.slack_ms if spans else 0


def _temporal(plan: CorrelationPlan, grace_ms: int) -> Machine:
    tree, span_ms, count = plan.condition, plan.timespan_ms, len(plan.rules)
    is_ordered = plan.type == "temporal_ordered"
    if tree is None:
        if plan.upper is not None or plan.operator != "gte" or plan.threshold != count:
            if is_ordered or plan.upper is not None or plan.operator not in ("gte", "gt"):
                raise Misconfigured("a temporal condition can only ask for all rules, or >= n")
            count = _least(plan)
        if is_ordered:
            return Ordered(span_ms, grace_ms, tuple(range(count)))
        return Presence(
            span_ms,
            grace_ms,
            lambda seen: len(seen) >= count,
            Bounds(count, len(plan.rules)),
            slot_of,
        )
    wanted = wanted_slots(tree)
    if not wanted:
        raise Misconfigured("the condition asks for no rule: name one that must occur")
    if is_ordered and not is_conjunction(tree):
        raise Misconfigured("an ordered condition can only be `a and b and not c`")
    if has_not(tree):
        order = tuple(sorted(wanted)) if is_ordered else ()
        return Absence(
            span_ms,
            grace_ms,
            lambda within, around: holds(tree, within, around),
            wanted,
            order,
        )
    if is_ordered:
        return Ordered(span_ms, grace_ms, tuple(sorted(wanted)))

    def is_enough(seen: AbstractSet[str]) -> bool:
        slots = frozenset(map(int, seen))
        return holds(tree, slots, slots)

    return Presence(span_ms, grace_ms, is_enough, Bounds(1, len(plan.rules)), slot_of)


def _measuring(plan: CorrelationPlan, grace_ms: int) -> Machine:
    if plan.type in _NEED_FIELD and not plan.fields:
        raise Misconfigured(f"{plan.type} needs a field in its condition")
    is_rising = plan.operator in ("gte", "gt") and plan.upper is None
    span_ms = plan.timespan_ms
    if is_rising and plan.type in _COUNTS:
        count = _least(plan)
        if plan.type == "event_count":
            return EventCount(span_ms, count, grace_ms)
        return Presence(
            span_ms, grace_ms, lambda seen: len(seen) >= count, Bounds(count, count), value_of
        )
    if is_rising and plan.type == "value_sum":
        least = floor(plan.threshold * SCALE) + 1 if plan.operator == "gt" else 0
        least = least or ceil(plan.threshold * SCALE)
        if least < 1:
            raise Misconfigured("the sum must reach a number above 0, or all would alert always")
        return ValueSum(span_ms, least, grace_ms)
    bounds = ((plan.operator, plan.threshold), *([plan.upper] if plan.upper else []))
    share = _MEDIAN if plan.percentile is None else plan.percentile
    return Closing(plan.type, span_ms, grace_ms, bounds, share)


def _least(plan: CorrelationPlan) -> int:
    """Return the smallest count that satisfies."""
    count = floor(plan.threshold) + 1 if plan.operator == "gt" else ceil(plan.threshold)
    most = EVENTS_MAX if plan.type == "event_count" else VALUES_MAX
    if not 1 <= count <= most:
        raise Misconfigured(f"the count must be from 1 to {most}")
    return count


def _behaviour(plan: BehaviourPlan, ruleset: RuleSet, terms: Terms) -> Machine:
    build = _BEHAVIOURS.get(plan.type)
    if build is None:
        raise Misconfigured(f"no behaviour is called {plan.type!r}")
    grace_ms = terms.grace_ms
    if plan.type == "risk":  # alerts add to it too, and bear the time of their bucket's start
        spans = [2 * other.timespan_ms for other in ruleset.correlations if other.risk > 0]
        grace_ms += terms.slack_ms + max([DAY_MS, *spans])
    return build(plan.parameters, grace_ms)


_BEHAVIOURS: Final[Mapping[str, Callable[[Mapping[str, Any], int], Machine]]] = {
    "first_seen": lambda p, _grace_ms: Release(
        FirstSeen(p["value"], p["learning"] // DAY_MS, p["expiry"] // DAY_MS)
    ),
    "dormant": lambda p, _grace_ms: Release(Dormant(p["asleep"] // DAY_MS, p["forget"] // DAY_MS)),
    "silent_source": lambda p, _grace_ms: Release(
        Silence(p["silence"] // MINUTE_MS, p["factor"], p["learning"] // DAY_MS)
    ),
    "impossible_travel": lambda p, grace_ms: Travel(
        p["speed_km_per_h"], p["distance_km_min"], p["repeat"], grace_ms
    ),
    "rate": lambda p, grace_ms: Rate(
        p["count_min"], p["factor"], p["weeks"], p["learning"] // HOUR_MS, grace_ms
    ),
    "risk": lambda p, grace_ms: Risk(
        p["line"], p["half_life"], p["repeat"], p["rule_max"], grace_ms
    ),
}
