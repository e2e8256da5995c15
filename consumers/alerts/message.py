"""What a target gets to read: one alert, or several in one message. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from consumers.alerts.schedule import ESCALATION, GATHERED, Due
from consumers.alerts.text import body_of, digest_body, digest_title, title_of
from schemas.alert import SEVERITIES, Alert, Severity

Kind = Literal["alert", "digest", "escalation"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `key` is the same when it is sent again, so that a receiver can drop it.

    A digest's alerts are all there, the most severe first.
    """

    key: str
    kind: Kind
    title: str
    body: str
    severity: Severity
    alerts: tuple[Alert, ...]
    link: str = ""

    def fields(self) -> dict[str, str]:
        """Return what programs read: values as they are; of a digest what its alerts share."""
        if self.kind == "digest":
            return {
                "kind": self.kind,
                "severity": self.severity,
                "count": str(len(self.alerts)),
                "alert_ids": " ".join(alert.alert_id for alert in self.alerts),
            }
        return {"kind": self.kind, **fields_of(self.alerts[0])}


def fields_of(alert: Alert) -> dict[str, str]:
    """Return an alert's fields as programs read them, without any change."""
    return {
        "alert_id": alert.alert_id,
        "rule_id": alert.rule_id,
        "severity": alert.severity,
        "tenant": alert.tenant,
        "user": alert.user,
        "ip_address": alert.ip_address,
        "action": alert.action,
        "resource": alert.resource,
        "occurred": alert.occurred,
        "recorded": alert.recorded,
    }


def _name_of(alerts: Sequence[Alert]) -> str:
    """Name what is told by all of it: under another's name a receiver would drop it as seen."""
    ids = sorted(alert.alert_id for alert in alerts)
    return hashlib.sha256(" ".join(ids).encode()).hexdigest()[:32]


def _rank(alert: Alert) -> int:
    return -SEVERITIES.index(alert.severity)


def message_of(dues: Sequence[Due], link: str = "") -> Message:
    """Return the message of one delivery, or the digest of several to one target.

    `link` is an address with `{id}` for the alert's.
    """
    due = dues[0]
    if len(dues) > 1:
        assert due.reason in GATHERED, "only what was held is gathered"
        alerts = tuple(sorted((one.alert for one in dues), key=_rank))  # stable: then as they came
        worst = alerts[0].severity
        address = link.split("{id}", 1)[0]
        body = digest_body(alerts, due.reason, address)
        key = f"digest-{_name_of(alerts)}"
        return Message(key, "digest", digest_title(alerts), body, worst, alerts, address)
    alert, address = due.alert, link.replace("{id}", due.alert.alert_id)
    is_late = due.reason == ESCALATION
    note = "Nobody has acknowledged it yet" if is_late else due.note
    return Message(
        key=f"{alert.alert_id}-{ESCALATION}" if is_late else alert.alert_id,
        kind="escalation" if is_late else "alert",
        title=title_of(alert),
        body=body_of(alert, note, address),
        severity=alert.severity,
        alerts=(alert,),
        link=address,
    )
