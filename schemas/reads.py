"""Reads of the audit log itself: which actions they are, and which address leaves which of them.

Whoever looks at the log leaves an event in it. Those events are many and tell little of the
platform, so searches show them only to who may see them and asks for them.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class ReadKind(NamedTuple):
    """What a read leaves: its action, and what was looked at, as the event's resource and kind."""

    action: str
    resource: str
    kind: str


# action | resource | kind | path templates: a page, and the REST route of the same name.
_TABLE: Final = """
audit.events.searched|audit_events|search|/events /search
audit.events.searched|audit_events|facets|/facets /events/facets /search/facets
audit.events.searched|audit_events|histogram|/histogram /events/histogram /search/histogram
audit.events.searched|audit_events|completion|/completions /complete /search/complete
audit.events.searched|audit_events|tail|/search/tail /events/tail
audit.events.searched|audit_events|count|/exports/new
audit.events.searched|audit_events|scan|/scan
audit.events.viewed|audit_events|event|/events/{}
audit.events.viewed|audit_events|user|/users/{}
audit.events.viewed|audit_events|address|/addresses/{}
audit.events.viewed|audit_events|session|/sessions/{}
audit.events.viewed|audit_events|resource|/resources
audit.events.viewed|audit_events|access|/access
audit.events.viewed|audit_events|timeline|/timeline
audit.events.exported|audit_events|export|/events/stream /exports/{}/stream /exports/{}/file
audit.exports.viewed|audit_exports|exports|/exports
audit.exports.viewed|audit_exports|export|/exports/{}
audit.searches.viewed|audit_searches|searches|/searches
audit.alerts.viewed|audit_alerts|alerts|/alerts
audit.alerts.viewed|audit_alerts|stats|/alerts/stats
audit.alerts.viewed|audit_alerts|targets|/alerts/targets
audit.alerts.viewed|audit_alerts|alert|/alerts/{}
audit.rules.viewed|audit_rules|rules|/rules
audit.rules.viewed|audit_rules|canaries|/canaries
audit.reports.viewed|audit_reports|reports|/reports
audit.reports.viewed|audit_reports|access-control|/reports/access-control
audit.reports.viewed|audit_reports|protected-records|/reports/protected-records
audit.reports.viewed|audit_reports|data-subject|/reports/data-subject
audit.cases.viewed|audit_cases|cases|/cases
audit.cases.viewed|audit_cases|case|/cases/{}
audit.quarantine.viewed|audit_quarantine|quarantine|/quarantine
audit.quarantine.viewed|audit_quarantine|message|/quarantine/{}
audit.quarantine.replayed|audit_quarantine|replay|/quarantine/replay
audit.health.viewed|audit_health|health|/health
audit.health.viewed|audit_health|ledger|/ledger
audit.health.viewed|audit_health|doctor|/doctor
audit.people.viewed|audit_people|people|/people /accounts
audit.people.viewed|audit_people|sessions|/sessions /people/sessions
audit.people.viewed|audit_people|tokens|/tokens /people/tokens
audit.me.viewed|audit_people|tokens|/me/tokens
audit.me.viewed|audit_people|me|/me
audit.reads.viewed|audit_reads|reads|/reads
audit.sql.queried|audit_sql|sql|/sql
"""
_CHANGES: Final = frozenset({"audit.quarantine.replayed"})  # told by the same call, but no read
_UNKNOWN: Final = ReadKind("audit.events.viewed", "audit_events", "other")


_NAME: Final = re.compile(r"\{[^}]*\}")


def _read() -> dict[str, ReadKind]:
    found: dict[str, ReadKind] = {}
    for line in _TABLE.strip().splitlines():
        action, resource, kind, paths = line.split("|")
        found |= dict.fromkeys(paths.split(), ReadKind(action, resource, kind))
    return found


READ_PATHS: Final[Mapping[str, ReadKind]] = MappingProxyType(_read())
READ_ACTIONS: Final = frozenset(kind.action for kind in READ_PATHS.values()) - _CHANGES


def read_kind(path: str) -> ReadKind:
    """Return what a read of a path template leaves. Total: one not listed leaves its parent's."""
    parts = _NAME.sub("{}", path.removeprefix("/v1")).split("/")
    for length in range(len(parts), 1, -1):
        known = READ_PATHS.get("/".join(parts[:length]))
        if known is not None:
            return known
    return _UNKNOWN
