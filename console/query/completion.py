"""What can come next where somebody types: fields, then values."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from console.query.fault import QueryError
from console.query.fields import FIELDS, IS, KEYS, MEMBER, NAMES, Field, nearest
from console.query.lexer import Lexer, Token
from console.query.write import quoted
from schemas.catalogue import ACTIONS

COMPLETED_MAX: Final = 50  # more than anybody reads
_COMMON: Final = ("user", "action", "resource", "ip", "result", "severity", "since", "details.")
_PERIODS: Final = ("15m", "1h", "24h", "7d", "30d")

What = Literal["field", "value"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to go on: `text` goes where the completion says, `about` explains it."""

    text: str
    kind: What
    about: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """What may replace the text from `start` to `end`.

    `wanted` is the field whose values the store may know more of, that begin with `prefix`.
    """

    start: int
    end: int
    candidates: tuple[Candidate, ...] = ()
    wanted: str = ""
    prefix: str = ""


def complete(text: str, position: int) -> Completion:
    """Return what can stand at a position, which is cut to the text. Total."""
    at = max(0, min(position, len(text)))
    try:
        before = Lexer(text[:at], is_partial=True).read()
    except QueryError:
        return Completion(at, at)
    last = before[-1] if before else None
    typed = last if last is not None and last.kind == "value" and last.end == at else None
    place = typed.start if typed else at
    end = at + _rest(text[at:], is_quoted=bool(typed and typed.is_quoted))
    field = _awaited(before[:-1] if typed else before)
    if field is None:
        if typed and typed.is_quoted:
            return Completion(place, end)
        return Completion(place, end, _fields(typed.text if typed else ""))
    return _values(field, typed, place, end)


def store_candidates(found: Completion, values: Iterable[tuple[str, int]]) -> Completion:
    """Return the completion with values of the store, each with how many events have it."""
    known = {candidate.text for candidate in found.candidates}
    more = [
        Candidate(text, "value", f"{rows:,} events")
        for value, rows in values
        if value and (text := quoted(value)) not in known
    ]
    candidates = (*more, *found.candidates)[:COMPLETED_MAX]
    return Completion(found.start, found.end, candidates, found.wanted, found.prefix)


def _awaited(tokens: list[Token]) -> Field | None:
    """Return the field that a value is awaited of: after its operator, or within its brackets."""
    depth = 0
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        if token.kind == "close":
            depth += 1
        elif token.kind == "open":
            depth -= 1
            if depth < 0 and index and tokens[index - 1].kind == "operator":
                return _field_named(tokens[index - 2])
        elif token.kind == "operator" and index == len(tokens) - 1:
            return _field_named(tokens[index - 1])
    return None


def _field_named(name: Token) -> Field | None:
    if name.text.lower().startswith(MEMBER.name):
        return MEMBER
    return NAMES.get(name.text.lower())


def _fields(typed: str) -> tuple[Candidate, ...]:
    wanted = typed.lower()
    if wanted.startswith(MEMBER.name):
        key = wanted.removeprefix(MEMBER.name)
        return tuple(
            Candidate(f"{MEMBER.name}{known}:", "field", MEMBER.about)
            for known in KEYS
            if known.startswith(key)
        )
    names = [*FIELDS, MEMBER.name]
    fitting = [name for name in names if name.startswith(wanted)]
    fitting += [
        field.name
        for alias, field in NAMES.items()
        if wanted and alias.startswith(wanted) and field.name not in fitting
    ]
    fitting += [
        name for name in names if len(wanted) > 1 and wanted in name and name not in fitting
    ]
    near = "" if fitting else nearest(wanted, tuple(FIELDS))
    fitting += [near] if near else []
    ranked = sorted(fitting, key=lambda name: _COMMON.index(name) if name in _COMMON else 99)
    return tuple(map(_field_candidate, dict.fromkeys(ranked)))


def _field_candidate(name: str) -> Candidate:
    field = FIELDS.get(name, MEMBER)
    text = name if field is MEMBER else f"{name}:"
    return Candidate(text, "field", f"{field.about}, such as {field.example}")


def _values(field: Field, typed: Token | None, start: int, end: int) -> Completion:
    prefix = typed.parts[0] if typed and len(typed.parts) == 1 else ""
    if typed and len(typed.parts) > 1:
        return Completion(start, end)  # what has a star is complete as it is
    folded = prefix.lower()
    fitting = [value for value in _vocabulary(field) if value.lower().startswith(folded)]
    if folded:
        fitting += [
            value
            for value in _vocabulary(field)
            if folded in value.lower() and value not in fitting
        ]
    candidates = tuple(
        Candidate(quoted(value), "value", _about(field, value)) for value in fitting[:COMPLETED_MAX]
    )
    wanted = field.name if field.is_asked else ""
    return Completion(start, end, candidates, wanted, prefix)


def _vocabulary(field: Field) -> tuple[str, ...]:
    if field.kind == "moment":
        return _PERIODS
    if field.kind == "has":
        return tuple(name for name, known in FIELDS.items() if known.given)
    return field.values


def _about(field: Field, value: str) -> str:
    if field.kind == "is":
        return IS[value]
    if field.kind == "has":
        return FIELDS[value].about
    if field.kind == "moment":
        return "so long ago"
    known = ACTIONS.get(value) if field.name == "action" else None
    return known.title if known else ""


def _rest(after: str, *, is_quoted: bool) -> int:
    """Return how many characters after the position belong to what is being typed."""
    if is_quoted:
        closing = after.find('"')
        return closing + 1 if closing >= 0 else 0
    for length, char in enumerate(after):
        if char.isspace() or char in '()":<>=':
            return length
    return len(after)
