"""Runbooks as pages show them: each command that only reads gets the address of its page. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from console.query.fault import QueryError
from console.query.parse import parse
from console.query.write import and_, escaped, term, text
from console.search.moment import RELATIVE, parse_moment, rfc3339
from console.web.problems import Refused
from schemas.errors import BadEvent

LINES_MAX: Final = 100  # a runbook has at most 2,048 characters
_COMMAND: Final = re.compile(r"\baudit (search|show|alerts)\b.*")
# Options of `audit search`, and the field of the language that asks the same.
_FIELDS: Final[Mapping[str, str]] = {
    "--user": "user",
    "--action": "action",
    "--resource": "resource",
    "--resource-id": "resource_id",
    "--ip": "ip",
    "--result": "result",
    "--session": "session",
    "--category": "category",
    "--tenant": "tenant",
}
_ALERT_FILTERS: Final = frozenset({"user", "rule", "severity", "tag", "since", "until"})
_SHAPES: Final = frozenset({"--limit", "--format"})  # how a terminal shows it
_FLAGS: Final = frozenset({"--json"})  # the same, without a value


def steps(runbook: str, occurred_us: int, now_us: int) -> list[dict[str, Any]]:
    """Return the lines: `said` before a command, the `command`, and its `link`, else None.

    What a command looks back by is taken from the alert's moment, not from now: a week later the
    page still shows what was to be seen.
    """
    return [
        _step(line, min(occurred_us, now_us)) for line in runbook.splitlines()[:LINES_MAX] if line
    ]


def _step(line: str, from_us: int) -> dict[str, Any]:
    found = _COMMAND.search(line)
    if found is None:
        return {"said": line, "command": None, "link": None}
    command = found[0].strip()
    return {
        "said": line[: found.start()].strip(),
        "command": command,
        "link": link_of(command, from_us),
    }


def link_of(command: str, from_us: int) -> str | None:
    """Return the address of the page that shows the same; None if there is none. Total."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that does not end
        return None
    match words:
        case ["audit", "search", *options]:
            return _search(options, from_us)
        case ["audit", "show", one] if not one.startswith("-"):
            return f"/events/{quote(one, safe='')}"
        case ["audit", "alerts", *options]:
            return _alerts(options)
    return None


def _search(options: Sequence[str], from_us: int) -> str | None:
    pairs = _pairs(options)
    if pairs is None:
        return None
    terms = []
    for name, value in pairs:
        if name in _FIELDS:
            terms.append(_pattern(_FIELDS[name], value))
        elif name == "--text":
            terms.append(text(value))
        elif name in ("--since", "--until"):
            moment = _moment(value, from_us)
            if moment is None:
                return None
            terms.append(term(name[2:], moment))
        elif name not in _SHAPES:
            return None
    query = and_(*terms)
    try:
        parse(query)
    except QueryError:  # a value that the command would refuse, too
        return None
    return f"/search?{urlencode({'q': query})}"


def _alerts(options: Sequence[str]) -> str | None:
    if options[:1] == ["list"]:
        options = options[1:]
    pairs = _pairs(options)
    if pairs is None or any(name[2:] not in _ALERT_FILTERS for name, _ in pairs):
        return None
    asked = {name[2:]: value for name, value in pairs}
    return f"/alerts?{urlencode({**asked, 'status': 'any'})}"


def _pairs(options: Sequence[str]) -> list[tuple[str, str]] | None:
    """Return names and values; None for what is not all options with values."""
    found: list[tuple[str, str]] = []
    rest = [option for option in options if option not in _FLAGS]
    while rest:
        name, has_value, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (has_value or rest):
            return None
        found.append((name, value if has_value else rest.pop(0)))
    return found


def _pattern(field: str, value: str) -> str:
    """Return the term of a value in which `*` stands for any text, as it does in a command."""
    if "*" not in value:
        return term(field, value)
    return f"{field}:{'*'.join(escaped(part) for part in value.split('*'))}"


def _moment(value: str, from_us: int) -> str | None:
    try:
        found_us = parse_moment(value, from_us, "since")
    except (Refused, BadEvent):
        return None
    return rfc3339(found_us) if RELATIVE.fullmatch(value) else value
