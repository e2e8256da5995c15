"""The exception that a false positive suggests: a file to put beside the rules. Pure.

Files stay files, reviewed like code: this only fills one in, and never writes it.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import yaml

from console.search.rendering import Row
from console.web.problems import Refused
from schemas.rule import RuleView

# As `audit rules except` has them; a longer one nobody looks at any more.
DAYS_MAX: Final = 366
DAYS_DEFAULT: Final = 90
# What of an alert an exception may be narrowed by, as rules name it.
FIELDS: Final = ("user", "action", "resource", "ip_address")
_TITLE_MAX: Final = 256
_NAME_MAX: Final = 128
_SPECIAL: Final = re.compile(r"([*?\\])")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody says of an exception; `where` are the fields that it is narrowed by."""

    where: Mapping[str, str]
    owner: str
    reason: str
    expires: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The file, where to put it, and the command that makes the same."""

    name: str
    text: str
    path: str
    command: str


def fields_of(row: Row) -> dict[str, str]:
    """Return what an exception from an alert's rule can be narrowed by, as the alert has it."""
    return {name: row[name] for name in FIELDS if row[name]}


def expiry(text: str, now_ms: int) -> str:
    """Return the day an exception ends. Raises `Refused` for one that is past or too far."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    wrong = Refused(
        "bad_parameter",
        "the end of an exception must lie ahead",
        field="expires",
        cure=f"give a day from tomorrow to {today + timedelta(days=DAYS_MAX)}",
    )
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise wrong from error
    if not today < found <= today + timedelta(days=DAYS_MAX):
        raise wrong
    return found.isoformat()


def default_expiry(now_ms: int) -> str:
    """Return the day that is offered."""
    day = datetime.fromtimestamp(now_ms / 1000, UTC).date() + timedelta(days=DAYS_DEFAULT)
    return day.isoformat()


def propose(rule: RuleView, asked: Asked, identity: str) -> Proposal:
    """Fill in an exception. Raises `Refused` if the rule has none, or nothing narrows it."""
    if rule.excepts is None:
        raise Refused(
            "wrong_state",
            "this rule is made of other rules, which exceptions can't name",
            cure=f"write a Sigma filter for one of them ({', '.join(rule.made_of)})",
        )
    if not asked.where:
        raise Refused(
            "bad_parameter",
            "an exception without a field would hide all that the rule finds",
            field="where",
            cure="choose at least one field",
        )
    document: dict[str, Any] = {
        "title": f"Exception from {rule.title}"[:_TITLE_MAX],
        "id": identity,
        "name": f"{rule.excepts[: _NAME_MAX - 16]}-except-{identity[:8]}",
        "logsource": dict(rule.logsource),
        "detection": {
            "selection": {name: exactly(value) for name, value in asked.where.items()},
            "condition": "selection",
        },
        "exception": {
            "rules": [rule.excepts],
            "owner": asked.owner,
            "reason": asked.reason,
            "expires": asked.expires,
            **({"tenant": asked.tenant} if asked.tenant else {}),
        },
    }
    return Proposal(
        document["name"],
        yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100),
        f"exceptions/{rule.excepts}_{identity[:8]}.yml",
        _command(rule.excepts, asked),
    )


def exactly(value: str) -> str:
    """Return the Sigma value of exactly that text: its wildcards stand for themselves."""
    return _SPECIAL.sub(r"\\\1", value)


def _command(rule_id: str, asked: Asked) -> str:
    words = ["audit", "rules", "except", rule_id]
    for name, value in asked.where.items():
        line = yaml.safe_dump({name: exactly(value)}, allow_unicode=True, width=100_000)
        words += ["--where", line.strip()]
    words += ["--owner", asked.owner, "--reason", asked.reason, "--until", asked.expires]
    if asked.tenant:
        words += ["--tenant", asked.tenant]
    return shlex.join(words)
