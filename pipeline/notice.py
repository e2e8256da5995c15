"""Notices: from a finding to an alert whose texts are plain, bounded and without secrets."""

import re
import shlex
from typing import Any, Final

from detections.rule import Finding
from pipeline.moment import to_rfc3339
from schemas.alert import Alert, alert_id
from schemas.canary import CANARY
from schemas.secrets import mask_text
from schemas.tables import COORDINATES

SUMMARY_MAX: Final = 1_024  # characters, as the alert has it
RUNBOOK_MAX: Final = 2_048
TITLE_MAX: Final = 256
WHY_MAX: Final = 1_024
QUOTED_MAX: Final = 200  # of a value in a runbook's command

# Control characters, and those that turn the direction of writing or can't be seen.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+"
)
_BLANK: Final = re.compile(r"\{(user|resource|ip_address|session_id)\}")


def clean(text: str, length_max: int) -> str:
    """Return the text on one line, without what a terminal or reader could be fooled by."""
    return _UNPRINTABLE.sub(" ", text)[:length_max]


def fill_runbook(runbook: str, row: dict[str, Any]) -> str:
    """Put the event's values in, quoted for a shell; a line that lacks one is left out whole."""

    def value(blank: re.Match[str]) -> str:
        return clean(str(row.get(blank[1], "")), QUOTED_MAX)

    lines = [
        _BLANK.sub(lambda blank: shlex.quote(value(blank)), line)
        for line in runbook.split("\n")
        if all(value(blank) for blank in _BLANK.finditer(line))
    ]
    return "\n".join(lines)[:RUNBOOK_MAX]


def to_alert(
    finding: Finding,
    row: dict[str, Any],
    *,
    historical: bool,
    rule_set: str = "",
    suppressed_by: str = "",
) -> Alert:
    """Make the alert of one event; `row` is its record's, and its coordinates are the group."""
    coordinates = "-".join(str(row[name]) for name in COORDINATES)
    return Alert(
        alert_id=alert_id(finding.rule_id, finding.rule_version, coordinates, coordinates),
        rule_id=finding.rule_id,
        rule_version=finding.rule_version,
        title=clean(finding.title, TITLE_MAX),
        severity=finding.severity,
        tenant=row["tenant"],
        group=coordinates,
        summary=clean(mask_text(finding.summary), SUMMARY_MAX),
        runbook=fill_runbook(finding.runbook, row),
        tags=finding.tags,
        user=row["user"],
        action=row["action"],
        resource=row.get("resource", ""),
        ip_address=row.get("ip_address", ""),
        session_id=row.get("session_id", ""),
        event_ids=(row["event_id"],),
        occurred=to_rfc3339(row["occurred"]),
        recorded=to_rfc3339(row["recorded"]),
        historical=historical,
        canary=CANARY in row.get("flags", ()),
        why=clean(finding.why, WHY_MAX),
        rule_set=rule_set,
        suppressed_by=suppressed_by,
    )
