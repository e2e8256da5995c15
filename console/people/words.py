"""What each right means, in words for people; the roles that hold it stand in console/access.py."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from console.access import GRANTS, PERMISSIONS, ROLES, Permission, Role

RIGHTS: Final[Mapping[Permission, str]] = MappingProxyType(
    {
        "read_events": "search events, look at one, at users, addresses, sessions, resources",
        "read_raw": "see messages byte for byte as they were published, also rejected ones",
        "read_alerts": "see alerts, their history, and the rules",
        "read_cases": "see cases",
        "read_reports": "make reports",
        "read_reads": "see who read what in this console",
        "export": "export events as files",
        "run_sql": "ask the store with SQL",
        "save_searches": "save searches",
        "work_alerts": "take, assign, resolve and comment alerts",
        "work_cases": "open cases and work on them",
        "read_health": "see the health of the pipeline: ledger, lag, quarantine, targets",
        "replay": "judge quarantined messages again",
        "read_people": "see accounts, tokens and sessions",
        "manage_people": "make and change accounts, end tokens and sessions of others",
        "own_account": "set one's own password, make and end one's own tokens, end one's sessions",
    }
)
ABOUT: Final[Mapping[Role, str]] = MappingProxyType(
    {
        "viewer": "looks at events and alerts",
        "analyst": "investigates: all that a viewer may, and works on alerts and cases",
        "auditor": "reads all, also who read what, and changes nothing",
        "administrator": "manages people and the pipeline; by itself it reads no events",
    }
)


def table_of_roles() -> str:
    """Return which role may what as a table in Markdown, for docs/people.md."""
    head = f"| right | what it means | {' | '.join(ROLES)} |"
    lines = [head, "|---|---|" + "---|" * len(ROLES)]
    for permission in PERMISSIONS:
        marks = ("yes" if permission in GRANTS[role] else "" for role in ROLES)
        lines.append(f"| `{permission}` | {RIGHTS[permission]} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"
