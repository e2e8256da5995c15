"""How rules read loosely shaped fields: the words of a name, numbers, spans of time, switches."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

NODES_MAX: Final = 256  # of one details object that a rule looks at
DAY_S: Final = 86_400.0
TEXT_MAX: Final = 64  # characters of a span of time or a switch; longer is neither

_WORD: Final = re.compile(r"[a-z0-9]+")
_SPAN: Final = re.compile(r"\s*([+-]?\d{1,12}(?:\.\d{1,6})?)\s*([a-z]*)\.?\s*")
_ISO: Final = re.compile(
    r"p(?:(\d{1,9})y)?(?:(\d{1,9})m)?(?:(\d{1,9})w)?(?:(\d{1,9})d)?"
    r"(?:t(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?)?"
)
_ISO_S: Final = (365 * DAY_S, 30 * DAY_S, 7 * DAY_S, DAY_S, 3600.0, 60.0, 1.0)
_UNITS_S: Final = {
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hr": 3600.0,
    "": DAY_S,  # a bare number of a retention setting is days
    "d": DAY_S,
    "day": DAY_S,
    "w": 7 * DAY_S,
    "week": 7 * DAY_S,
    "m": 30 * DAY_S,
    "mo": 30 * DAY_S,
    "month": 30 * DAY_S,
    "y": 365 * DAY_S,
    "yr": 365 * DAY_S,
    "year": 365 * DAY_S,
}
_FOREVER: Final = frozenset({"forever", "unlimited", "indefinite", "indefinitely", "never"})
_OFF: Final = frozenset({"off", "false", "disabled", "disable", "no", "0", "inactive", "none"})
_ON: Final = frozenset({"on", "true", "enabled", "enable", "yes", "1", "active", "required"})


def words_of(name: str) -> frozenset[str]:
    """Split a dotted, dashed or underscored name into lower-case words."""
    return frozenset(_WORD.findall(name.lower()))


def span_s(value: object) -> float | None:
    """Read a span of time in seconds: "90 days", "P90D", "2y", 90 (days), "forever"; else None."""
    if isinstance(value, str):
        return _span_of(value.strip().lower()) if len(value) <= TEXT_MAX else None
    number = number_of(value)
    return None if number is None else number * DAY_S


def _span_of(text: str) -> float | None:
    if text in _FOREVER:
        return math.inf
    if text.startswith("p") and (iso := _ISO.fullmatch(text)) and any(iso.groups()):
        return sum(int(part or 0) * unit for part, unit in zip(iso.groups(), _ISO_S, strict=True))
    if not (plain := _SPAN.fullmatch(text)):
        return None
    number, unit = plain.groups()
    unit_s = _UNITS_S.get(unit, _UNITS_S.get(unit.removesuffix("s")))
    return None if unit_s is None else float(number) * unit_s


def number_of(value: object) -> float | None:
    """Read a number, also from a text such as "1,523"; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if not isinstance(value, str) or len(value) > TEXT_MAX:
        return None
    plain = _SPAN.fullmatch(value.replace(",", "").replace("_", ""))
    return float(plain[1]) if plain and not plain[2] else None


def is_off(value: object) -> bool:
    """Say whether a switch stands on off: false, 0, "disabled", "off" and the like."""
    if isinstance(value, str):
        return len(value) <= TEXT_MAX and value.strip().lower() in _OFF
    return value is False or (value == 0 and not isinstance(value, float))


def is_on(value: object) -> bool:
    """Say whether a switch stands on on: the counterpart of `is_off`, but never both."""
    if isinstance(value, str):
        return len(value) <= TEXT_MAX and value.strip().lower() in _ON
    return value is True or (value == 1 and not isinstance(value, float))


def walk(details: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every object in the details with the key it stands under ('' for the outermost).

    Breadth first, at most `NODES_MAX` objects and lists.
    """
    queue: list[tuple[str, Any]] = [("", details)]
    for key, node in queue:  # grows while it is walked
        if isinstance(node, dict):
            yield key, node
            children: Iterator[tuple[str, Any]] = iter(node.items())
        else:
            children = ((key, item) for item in node) if isinstance(node, list) else iter(())
        for name, child in children:
            if len(queue) >= NODES_MAX:
                break
            if isinstance(child, dict | list):
                queue.append((name, child))
