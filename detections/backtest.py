"""A rule over history: the rows of the store judged as they came, and what the alerts add up to.

Pure: who reads the rows, and who shows what was found, is elsewhere. Alerts have the ids that
they have live, since both come from coordinates, groups and buckets of event time alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from detections.needs import Need, needs_of
from detections.rule import Derived
from detections.sigma.load import load_rules
from detections.sigma.ruleset import CorrelationPlan, RuleFile, RuleSet
from detections.stateful.chains import RISK
from detections.stateful.extractor import Origin
from detections.trial import WHO, Raised, Trial
from schemas.errors import Misconfigured

PAGE_PERIOD_MS: Final = 3_600_000  # repeats about the same within an hour page once
PAGING: Final = frozenset({"high", "critical"})
EXAMPLES_MAX: Final = 5
ALERTS_MAX: Final = 1_000_000


@dataclass
class Tally:
    """What was found so far."""

    events: int = 0
    alerts: dict[str, Raised] = field(default_factory=dict)
    days: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    paged_ms: dict[tuple[str, str], int] = field(default_factory=dict)


class Backtest:
    """One rule, with those that it stands on, at work on history."""

    def __init__(
        self, files: Sequence[RuleFile], exceptions: Sequence[RuleFile], rule_id: str
    ) -> None:
        whole = load_rules(files, exceptions=exceptions, with_drafts=True)
        paths = _paths(whole, rule_id)
        ruleset = load_rules(
            [file for file in files if file.path in paths],
            exceptions=exceptions, with_drafts=True,
        ) if paths else whole  # fmt: skip
        self.rule_id: Final = rule_id
        self.trial: Final = Trial(ruleset)
        self.tally: Final = Tally()
        self.needs: Final = needs_of(ruleset, _bases(ruleset, rule_id)) if paths else ()

    def take(self, members: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Judge rows in the order of the broker's time."""
        recorded_ms = 0
        for row in rows:
            known = dict(zip(members, row, strict=True))
            recorded_ms = known["recorded_ms"]
            self._take(known)
        if recorded_ms:
            self._add(self.trial.settle(recorded_ms))

    def finish(self, now_ms: int) -> None:
        """Decide what has waited for time to pass, as far as it has."""
        self._add(self.trial.settle(now_ms))

    def _take(self, known: Mapping[str, Any]) -> None:
        self.tally.events += 1
        fields = orjson.loads(known["raw"])
        occurred_ms = known["occurred_us"] // 1000
        who = [str(fields.get(name) or "") for name in WHO]
        who[0] = known["event_id"]
        origin = Origin(
            known["tenant"],
            known["incarnation"],
            known["partition"],
            known["offset"],
            occurred_ms,
            known["recorded_ms"],
            tuple(who),  # type: ignore[arg-type]  # six texts
        )
        self._add(self.trial.take(fields, _derived(known), origin))

    def _add(self, raised: Iterable[Raised]) -> None:
        tally = self.tally
        for alert in raised:
            if alert.rule_id != self.rule_id or alert.alert_id in tally.alerts:
                continue
            if len(tally.alerts) >= ALERTS_MAX:
                raise Misconfigured(
                    f"{self.rule_id} raises over {ALERTS_MAX:,} alerts: narrow it, or --since"
                )
            tally.alerts[alert.alert_id] = alert
            tally.days[day_of(alert.occurred_ms)] += 1
            about = (alert.rule_id, alert.user or alert.group)
            last_ms = tally.paged_ms.get(about)
            if alert.severity in PAGING and (
                last_ms is None or alert.occurred_ms - last_ms >= PAGE_PERIOD_MS
            ):
                tally.pages += 1
                tally.paged_ms[about] = alert.occurred_ms

    def examples(self) -> list[Raised]:
        """Return the latest alerts."""
        latest = sorted(self.tally.alerts.values(), key=lambda alert: -alert.occurred_ms)
        return latest[:EXAMPLES_MAX]


def day_of(ms: int) -> str:
    """Return the day in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).date().isoformat()


def _derived(known: Mapping[str, Any]) -> Derived:
    moment = datetime.fromtimestamp(known["occurred_us"] // 1_000_000, UTC)
    flags = tuple(known["flags"])
    return Derived(
        occurred=f"{moment.isoformat(' ')[:19]}.{known['occurred_us'] % 1_000_000:06}",
        category=known["category"],
        verb=known["verb"],
        result=known["result_name"],
        role=known["role"],
        department=known["department"],
        user_status=known["user_status"],
        country=known["country"].strip("\0"),
        asn=known["geo_asn"],
        as_name=known["geo_as_name"],
        client=known["client"],
        data_class=known["data_class"],
        is_protected="protected" in flags,
        has_changes=bool(known["changed"]),
        is_off_hours="off_hours" in flags,
        changed=tuple(known["changed"]),
        flags=flags,
        recorded_ms=known["recorded_ms"],
    )


def _paths(ruleset: RuleSet, rule_id: str) -> set[str]:
    """Return the files that a rule needs; none if it needs them all, as risk does."""
    if any(plan.rule_id == rule_id and plan.type == RISK for plan in ruleset.behaviours):
        return set()
    correlations = {plan.rule_id: plan for plan in ruleset.correlations}
    described = (*ruleset.rules, *ruleset.correlations, *ruleset.behaviours)
    paths = {rule.path for rule in described if rule.rule_id == rule_id}
    paths |= {ruleset.rules[index].path for index in _bases(ruleset, rule_id)}
    paths |= {correlations[name].path for name in _chain(correlations, rule_id)}
    return paths


def _chain(correlations: Mapping[str, CorrelationPlan], rule_id: str) -> list[str]:
    """Return the correlations that a rule stands on, itself among them; there are no cycles."""
    plan = correlations.get(rule_id)
    if plan is None:
        return []
    below = [
        name for rule in plan.rules if isinstance(rule, str) for name in _chain(correlations, rule)
    ]
    return [rule_id, *below]


def _bases(ruleset: RuleSet, rule_id: str) -> list[int]:
    """Return the rules over single events that a rule stands on."""
    correlations = {plan.rule_id: plan for plan in ruleset.correlations}
    found = {
        rule
        for name in _chain(correlations, rule_id)
        for rule in correlations[name].rules
        if isinstance(rule, int)
    }
    found |= {plan.selection for plan in ruleset.behaviours if plan.rule_id == rule_id}
    found |= {rule.index for rule in ruleset.rules if rule.rule_id == rule_id}
    return sorted(found)


def spell_need(need: Need) -> dict[str, Any]:
    """Return a need as the API takes it."""
    return {
        "prefix": need.prefix,
        "values": {column: list(values) for column, values in need.values},
        "parts": list(need.parts),
    }
