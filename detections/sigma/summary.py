"""The sentence that a finding says, from a template: "{user} exported {details.rows:,} rows".

`{name}` is a field as rules see it, `{name:,}` a number with its thousands apart. What the event
does not tell is left out with the preposition and the brackets around it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from detections.rule import Derived, Fields
from detections.sigma.predicates import number_of
from detections.sigma.ruleset import Getter

VALUE_LENGTH_MAX: Final = 200  # characters of one value
VALUES_MAX: Final = 5  # of a list
PLAIN: Final = "{user} did {action} on {resource} from {ip_address}."

_BLANK: Final = re.compile(r"\{([A-Za-z_@][\w.@:/-]*?)(:,)?\}")
_LEAD: Final = re.compile(
    r"(?:,?\s*\b(?:as|at|by|called|for|from|in|into|named|of|on|through|to|under|using|via|with)"
    r"(?:\s+(?:a|an|the))?)?\s*(?P<open>[\"'(\[]?)$"
)
_GAPS: Final = ((re.compile(r"\s+([.,;:!?)\]])"), r"\1"), (re.compile(r"\s{2,}"), " "))
_CLOSING: Final = {'"': '"', "'": "'", "(": ")", "[": "]"}

Say = Callable[[Fields, Derived], str]


class _Blank(NamedTuple):
    read: Getter
    is_number: bool


def names_in(template: str) -> tuple[str, ...]:
    """Return the fields that a template names, each once."""
    return tuple(dict.fromkeys(match[1] for match in _BLANK.finditer(template)))


def to_say(template: str, getter_of: Callable[[str], Getter]) -> Say:
    """Return what fills a template in. The result may quote the event; it is not yet cleaned."""
    parts: list[str | _Blank] = []
    at = 0
    for match in _BLANK.finditer(template):
        parts.append(template[at : match.start()])
        parts.append(_Blank(getter_of(match[1]), match[2] is not None))
        at = match.end()
    parts.append(template[at:])
    if len(parts) == 1:
        return lambda _fields, _derived: template
    return lambda fields, derived: _fill(parts, fields, derived)


def _fill(parts: Sequence[str | _Blank], fields: Fields, derived: Derived) -> str:
    said = ""
    closing = ""
    has_gap = False
    for part in parts:
        if isinstance(part, str):
            said += part[1:] if closing and part.startswith(closing) else part
            closing = ""
        elif value := _spell(part, fields, derived):
            said += value
        else:
            has_gap = True
            lead = _LEAD.search(said)
            assert lead, "it matches the empty end too"
            said = said[: lead.start()]
            closing = _CLOSING.get(lead["open"], "")
    if has_gap:
        for pattern, instead in _GAPS:
            said = pattern.sub(instead, said)
        said = said.strip()
    return said


def _spell(blank: _Blank, fields: Fields, derived: Derived) -> str:
    values = blank.read(fields, derived)
    shown = [value[:VALUE_LENGTH_MAX] for value in values[:VALUES_MAX]]
    if blank.is_number:
        numbers = [number_of(value) for value in shown]
        shown = [
            value if number is None else f"{number:,}"
            for value, number in zip(shown, numbers, strict=True)
        ]
    more = " …" if len(values) > VALUES_MAX else ""
    return ", ".join(shown) + more
