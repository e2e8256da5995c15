"""Alerts of stateful rules: their ids, groups and texts, plain, bounded and masked. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from detections.sigma.ruleset import BehaviourPlan, CorrelationPlan
from detections.stateful.memory import Crossing
from detections.stateful.reading import carry_identity
from detections.stateful.spans import spell_span
from schemas.alert import Alert, Severity, alert_id
from schemas.secrets import mask_text

Plan = CorrelationPlan | BehaviourPlan

SUMMARY_MAX: Final = 1_024  # characters, as the alert has it
TITLE_MAX: Final = 256
WHY_MAX: Final = 1_024
GROUP_MAX: Final = 1_024
DEFAULT_TENANT: Final = "default"
MS_MAX: Final = 10_413_792_000_000 - 1  # the last millisecond of 2299, as the store has it

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BARE: Final = re.compile(r"[\w.@:/+-]{1,256}")
_BLANK: Final = re.compile(r"\{([A-Za-z_][\w.]*)\}")
_SPACES: Final = re.compile(r"\s+")
_LEFT_OVER: Final = re.compile(r"\s+([.,;:)])|\(\s*\)")

_WHO: Final = ("user", "action", "resource", "ip_address", "session_id")

_SUMMARIES: Final[Mapping[str, str]] = {
    "event_count": "{count} events or more within {span} for {group}.",
    "value_count": "{count} different values within {span} for {group}: {values}.",
    "temporal": "{title}: what the rule asks for occurred within {span} for {group}.",
    "temporal_ordered": "{title}: one after the other within {span} for {group}.",
    "value_sum": "A sum of {sum}{value} within {span} for {group}.",
    "value_avg": "An average of {value} in {span} for {group}.",
    "value_percentile": "A percentile of {value} in {span} for {group}.",
    "value_median": "A median of {value} in {span} for {group}.",
    "first_seen": "Seen for the first time, or again after long: {group}.",
    "impossible_travel": (
        "{group} was in {from} and in {to}, {distance} apart, within {minutes} minutes."
    ),
    "rate": "{count} events in an hour for {group}; usual are fewer than {bar}.",
    "dormant": "{group} acts after {days} days without any event.",
    "silent_source": "{group} has been silent for more than {minutes} minutes, longer than usual.",
    "risk": "Risk of {group} has come to {score}: {reasons}.",
}


class StatefulAlert(NamedTuple):
    """One alert as `schemas.alert.Alert` has it, but for what only its sender knows.

    `runbook` may name {user}, {resource}, {ip_address} and {session_id}, not yet filled in.
    """

    alert_id: str
    rule_id: str
    rule_version: int
    title: str
    severity: Severity
    risk: int
    tenant: str
    group: str
    summary: str
    runbook: str
    why: str
    tags: tuple[str, ...]
    user: str
    action: str
    resource: str
    ip_address: str
    session_id: str
    event_ids: tuple[str, ...]
    event_count: int
    occurred_ms: int
    recorded_ms: int

    def to_alert(self, runbook: str = "", *, historical: bool = False) -> Alert:
        """Return what is sent; `runbook` is the filled one."""
        left_out = ("risk", "occurred_ms", "recorded_ms", "runbook")
        fields = {name: value for name, value in self._asdict().items() if name not in left_out}
        return Alert(
            **fields,
            runbook=runbook,
            occurred=to_rfc3339(self.occurred_ms),
            recorded=to_rfc3339(self.recorded_ms),
            historical=historical,
        )


def to_rfc3339(ms: int) -> str:
    """Spell milliseconds since 1970; what the store can't hold is clamped."""
    at = _EPOCH + timedelta(milliseconds=min(max(ms, 0), MS_MAX))
    return f"{at.replace(tzinfo=None).isoformat('T', 'milliseconds')}Z"


def spell_group(tenant: str, names: Sequence[str], values: Sequence[str], label: str = "") -> str:
    """Name a group readably: "user=jane@x"; different groups have different names."""
    pairs = [(name, value) for name, value in zip(names, values, strict=False)]
    if tenant != DEFAULT_TENANT:
        pairs.insert(0, ("tenant", tenant))
    parts = [f"{name}={_quote(value)}" for name, value in pairs]
    if label:
        name, _, value = label.partition("=")
        parts.append(f"{name}={_quote(value)}")
    return " ".join(parts) or "all"


def _quote(value: str) -> str:
    return value if _BARE.fullmatch(value) and value.isprintable() else json.dumps(value)


def to_alert(
    plan: Plan, names: Sequence[str], tenant: str, values: Sequence[str], crossing: Crossing
) -> StatefulAlert:
    """Make the alert of one crossing; `names` are those of the group's `values`."""
    group = spell_group(tenant, names, values, crossing.label)
    known = _shown(names, values, crossing)
    shown = mask_text(group)[:GROUP_MAX]
    return StatefulAlert(
        alert_id=alert_id(plan.rule_id, plan.version, group, f"window:{crossing.bucket}"),
        rule_id=plan.rule_id,
        rule_version=plan.version,
        title=plain(plan.title, TITLE_MAX),
        severity=plan.severity,
        risk=plan.risk,
        tenant=tenant,
        group=shown,
        summary=_summary(plan, shown, known, crossing),
        runbook=plan.runbook,
        why=plain(plan.why, WHY_MAX),
        tags=plan.tags,
        user=known["user"],
        action=known["action"],
        resource=known["resource"],
        ip_address=known["ip_address"],
        session_id=known["session_id"],
        event_ids=tuple(crossing.event_ids),
        event_count=max(1, crossing.events),
        occurred_ms=crossing.occurred_ms,
        recorded_ms=crossing.recorded_ms,
    )


def plain(text: str, length_max: int) -> str:
    """Return the text on one line, without what can't be seen or turns its direction."""
    seen = "".join([char if char.isprintable() else " " for char in text[: 2 * length_max]])
    return _SPACES.sub(" ", seen).strip()[:length_max]


def _shown(names: Sequence[str], values: Sequence[str], crossing: Crossing) -> dict[str, str]:
    """Return what is said of the group and its event, masked; a name as the event writes it."""
    behind = dict(zip(_WHO, crossing.who[1:], strict=False))
    known = {**dict.fromkeys(_WHO, ""), **behind, **dict(zip(names, values, strict=False))}
    user = behind.get("user", "")
    if user and carry_identity(user) == known["user"]:
        known["user"] = user
    return {name: mask_text(value) for name, value in known.items()}


def _summary(plan: Plan, group: str, known: Mapping[str, str], crossing: Crossing) -> str:
    """Fill the rule's own template, or the one of its type; what is not known is left out."""
    words: dict[str, str] = {
        **known,
        "group": group,
        "title": plan.title,
        "count": str(crossing.events),
        "span": _span_of(plan),
        **dict(crossing.words),
    }
    template = plan.summary or _SUMMARIES.get(plan.type, "{title}: {group}.")
    filled = _BLANK.sub(lambda blank: words.get(blank[1], ""), template)
    return _LEFT_OVER.sub(r"\1", plain(mask_text(filled), SUMMARY_MAX))


def _span_of(plan: Plan) -> str:
    return spell_span(plan.timespan_ms) if isinstance(plan, CorrelationPlan) else ""
