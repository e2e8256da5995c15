"""Spans of time as rules write them: "90s", "15m", "24h", "14d", "2w". Pure."""

import re
from typing import Final

SECOND_MS: Final = 1_000
UNITS_MS: Final = {
    "s": SECOND_MS,
    "m": 60 * SECOND_MS,
    "h": 3_600 * SECOND_MS,
    "d": 86_400 * SECOND_MS,
    "w": 7 * 86_400 * SECOND_MS,
}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhdw])")
_NAMES: Final = (("d", "day"), ("h", "hour"), ("m", "minute"), ("s", "second"))


def parse_span(text: object) -> int:
    """Return the milliseconds of a span. Raises `ValueError` that shows how one is written."""
    found = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("want a span such as 15m, 24h or 14d (units s, m, h, d, w)")
    return int(found[1]) * UNITS_MS[found[2]]


def spell_span(span_ms: int) -> str:
    """Say a span in the largest unit that divides it: "15 minutes", "1 day"."""
    for unit, name in _NAMES:
        count, rest = divmod(span_ms, UNITS_MS[unit])
        if count and not rest:
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{span_ms / SECOND_MS:g} seconds"
