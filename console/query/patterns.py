"""Texts with stars, and texts inside of others, as SQL over parameters."""

from collections.abc import Callable
from typing import Final

import orjson

from console.query.addresses import single_address
from console.query.tree import Parts

Bind = Callable[..., str]

# Columns that a bare word is looked for in, besides the details: as published, so that the raw
# bytes tell first.
SAID: Final = (
    "user",
    "action",
    "resource",
    "resource_id",
    "role",
    "on_behalf_of",
    "session_id",
    "request_id",
    "source",
    "reason",
    "user_agent",
)
# `details` is JSON text whose escapes the store has normalised, so the needle is escaped alike.
# Reading it parses each row; the raw bytes tell first, cheaply, that most can't match: without a
# backslash in them nothing is escaped, and what is in the details stands there as it is.
UNSURE: Final = "position(raw, '\\\\') > 0 OR details_masked != ''"


def like(parts: Parts) -> str:
    """Return the LIKE pattern: between the parts is anything, each is itself."""
    return "%".join(_unliked(part) for part in parts)


def pattern_sql(expression: str, parts: Parts, bind: Bind) -> str:
    """Return the condition that a text is of that pattern; the simplest that says it."""
    if len(parts) == 1:
        return f"{expression} = {bind(parts[0])}"
    if parts[1:] == ("",):  # anything may follow; and if nothing goes before, something must
        return f"startsWith({expression}, {bind(parts[0])})" if parts[0] else f"{expression} != ''"
    return f"{expression} LIKE {bind(like(parts))}"


def details_sql(parts: Parts, bind: Bind) -> str:
    """Return the condition that the text is in the details."""
    needle = _Needle(tuple(_as_json(part) for part in parts), bind)
    return f"(({needle.within('raw')} OR {UNSURE}) AND {needle.within('details')})"


def event_sql(parts: Parts, bind: Bind) -> str:
    """Return the condition that the text is in the details, or in what else the event says."""
    escaped, plain = _Needle(tuple(map(_as_json, parts)), bind), _Needle(parts, bind)
    said = " OR ".join(plain.within(column) for column in SAID)
    found = f"(({escaped.within('raw')} OR {UNSURE}) AND ({escaped.within('details')} OR {said}))"
    if len(parts) > 1:
        return found
    # an id may have been made here, and an address written otherwise: neither is in the raw bytes
    ways = [found, f"event_id = {bind(parts[0])}"]
    address = single_address(parts[0])
    if address is not None and address != "::":
        ways.append(f"ip_address = {bind(address, 'IPv6')}")
    return f"({' OR '.join(ways)})"


class _Needle:
    """A text to look for, upper and lower case alike; bound once, however often it is used."""

    def __init__(self, parts: Parts, bind: Bind) -> None:
        self._is_one = len(parts) == 1
        self._bound = bind(parts[0] if self._is_one else f"%{like(parts)}%")

    def within(self, column: str) -> str:
        """Return the condition that it is in that column."""
        if self._is_one:
            return f"positionCaseInsensitiveUTF8({column}, {self._bound}) > 0"
        return f"{column} ILIKE {self._bound}"


def _as_json(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]


def _unliked(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
