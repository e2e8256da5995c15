"""What changed, as lines that people can read: path, before, after, and the words between. Pure.

Values come from outside: whatever they are, the lines are bounded, plain and never raise.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

LINES_MAX: Final = 200  # of one change; a person reads no more, and the event itself has the rest
TEXT_MAX: Final = 4_000  # characters of one side; the event itself has the rest
WORDS_MAX: Final = 400  # words compared one by one; finding them costs their square
ALIKE_MIN: Final = 0.4  # texts that share less are easier to read one after the other
DEPTH_MAX: Final = 12  # deeper objects are compared as texts
NUMBER_MAX: Final = 40  # digits that are kept as a number; longer ones stay texts
WHOLE: Final = "details"  # the path of a change whose before and after lie right in the details
_WORDS: Final = re.compile(r"\s+|\w+|[^\w\s]")

Kind = Literal["changed", "added", "removed", "more"]


class Part(TypedDict):
    """A run of text that both sides share, or that one of them lacks."""

    kind: Literal["same", "removed", "added"]
    text: str


class Line(TypedDict):
    """One thing that changed. A side that is not there is null; `parts` joins both sides.

    A line of kind `more` stands for those beyond the bound: `path` says how many.
    """

    path: str
    kind: Kind
    before: str | None
    after: str | None
    parts: list[Part]


class Absent:
    """The type of a side that is not there, which null isn't."""


ABSENT: Final = Absent()


def changes(before: object, after: object, path: str = "") -> list[Line]:
    """Compare two JSON values; objects key by key, lists member by member, texts word by word."""
    lines: list[Line] = []
    for line in _walk(path, before, after, 0):
        if len(lines) == LINES_MAX:
            lines.append(_line("and more", "more", None, None))
            break
        lines.append(line)
    return lines


def named(path: str, action: str) -> str:
    """Return what changed, for people: of details that are the change, what the action says.

    `settings.retention_policy.updated` with before and after right in its details changed the
    retention_policy, not something named "details".
    """
    if path not in ("", WHOLE):
        return path
    parts = action.split(".")
    return parts[-2] if len(parts) > 1 else ""


def changes_of(
    paths: Sequence[str], before: Sequence[str], after: Sequence[str], action: str = ""
) -> list[Line]:
    """Compare the columns `changed`, `before` and `after` of an event: JSON texts, '' is absent."""
    lines: list[Line] = []
    for path, old, new in zip(paths, before, after, strict=False):
        lines += changes(read(old), read(new), named(path, action))
        if len(lines) > LINES_MAX:
            return [*lines[:LINES_MAX], _line("and more", "more", None, None)]
    return lines


def read(text: str) -> object:
    """Return the value of a JSON text; what is none is itself, what is empty is absent. Total."""
    if not text:
        return ABSENT
    try:
        return json.loads(text, parse_int=_whole, parse_float=_fraction)
    except (ValueError, RecursionError):
        return text


def text_of(value: object) -> str:
    """Return a value as people read it: a text without quotes, all else as JSON."""
    return _clip(value if isinstance(value, str) else _json(value))


def words(before: str, after: str) -> list[Part]:
    """Return both texts as one, with what went and what came; empty if they share too little."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    if not (0 < len(old) <= WORDS_MAX and 0 < len(new) <= WORDS_MAX):
        return []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    if matcher.ratio() < ALIKE_MIN:
        return []
    parts: list[Part] = []
    for tag, from_old, to_old, from_new, to_new in matcher.get_opcodes():
        if tag == "equal":
            parts.append({"kind": "same", "text": "".join(old[from_old:to_old])})
            continue
        if from_old < to_old:
            parts.append({"kind": "removed", "text": "".join(old[from_old:to_old])})
        if from_new < to_new:
            parts.append({"kind": "added", "text": "".join(new[from_new:to_new])})
    return parts


def _walk(path: str, before: object, after: object, depth: int) -> Iterator[Line]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and depth < DEPTH_MAX:
        for key in [*before, *(key for key in after if key not in before)]:
            old, new = before.get(key, ABSENT), after.get(key, ABSENT)
            yield from _walk(_joined(path, key), old, new, depth + 1)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _members(path, before, after)
    elif not _is_same(before, after):
        yield _pair(path, before, after)


def _members(path: str, before: list[Any], after: list[Any]) -> Iterator[Line]:
    """Say which members went and came; where only their order changed, show both lists."""
    old, new = [_json(value) for value in before], [_json(value) for value in after]
    if old == new:
        return
    gone = _without(before, old, new)
    come = _without(after, new, old)
    if not gone and not come:
        yield _pair(path, before, after)
    for value in gone:
        yield _pair(f"{path}[]", value, ABSENT)
    for value in come:
        yield _pair(f"{path}[]", ABSENT, value)


def _without(values: list[Any], texts: list[str], others: list[str]) -> list[Any]:
    """Return the values that the others lack, each as often as it is missing there."""
    left: dict[str, int] = {}
    for text in others:
        left[text] = left.get(text, 0) + 1
    missing = []
    for value, text in zip(values, texts, strict=True):
        if left.get(text, 0):
            left[text] -= 1
        else:
            missing.append(value)
    return missing


def _pair(path: str, before: object, after: object) -> Line:
    if before is ABSENT:
        return _line(path, "added", None, text_of(after))
    if after is ABSENT:
        return _line(path, "removed", text_of(before), None)
    old, new = text_of(before), text_of(after)
    if old == new:  # "90" and 90, or texts that differ beyond the bound
        return _line(path, "changed", _clip(_json(before)), _clip(_json(after)))
    is_text = isinstance(before, str) and isinstance(after, str)
    return _line(path, "changed", old, new, words(old, new) if is_text else [])


def _line(
    path: str, kind: Kind, before: str | None, after: str | None, parts: list[Part] | None = None
) -> Line:
    return {"path": path, "kind": kind, "before": before, "after": after, "parts": parts or []}


def _is_same(before: object, after: object) -> bool:
    if before is ABSENT or after is ABSENT:
        return before is after
    return _json(before) == _json(after)  # 1, 1.0 and true are equal in Python, and not in JSON


def _joined(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    except (ValueError, RecursionError):
        return repr(type(value).__name__)


def _clip(text: str) -> str:
    if len(text) <= TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]} … ({len(text):,} characters)"


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= NUMBER_MAX else digits


def _fraction(digits: str) -> float | str:
    return float(digits) if len(digits) <= NUMBER_MAX else digits
