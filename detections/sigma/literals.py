"""The text that every match of a regular expression must contain, where one is plain to see."""

import re
from typing import Final

_FLAGS: Final = re.compile(r"\(\?([imsU]+)\)")
_QUANTIFIER: Final = re.compile(r"[*?+]|\{\d*,?\d*\}")
_LETTER: Final = re.compile(r"[A-Za-z0-9]")
LITERAL_LENGTH_MIN: Final = 3  # shorter is in too many events to be worth a look


def literals_of_regex(pattern: str) -> list[str]:
    """Return [the longest text that any match contains], or [] if none is plain to see.

    Conservative: alternatives, groups, classes and what is repeated count as unknown.
    """
    flags = ""
    while leading := _FLAGS.match(pattern):
        flags += leading[1]
        pattern = pattern[leading.end() :]
    runs = _runs(pattern)
    if "i" in flags:  # RE2 takes long s (U+017F) for s, and our folding does not
        runs = [piece for run in runs for piece in re.split(r"[sS]|[^\x00-\x7f]", run)]
    longest = max(runs, key=len, default="")
    return [longest] if len(longest) >= LITERAL_LENGTH_MIN else []


def _runs(pattern: str) -> list[str]:
    """Split into runs of plain characters outside of all groups; [] where that can't be told."""
    runs, run, at = [], "", 0
    while at < len(pattern):
        plain, end = _step(pattern, at)
        if end < 0:
            return []
        quantifier = _QUANTIFIER.match(pattern, end) if plain else None
        if quantifier:  # `x+` has one x at least, but nothing is sure to follow it
            kept = plain if quantifier[0] == "+" else ""
            runs.append(run + kept)
            run, end = "", quantifier.end()
        elif plain:
            run += plain
        else:
            runs.append(run)
            run = ""
        at = end
    return [*runs, run]


def _step(pattern: str, at: int) -> tuple[str, int]:
    """Return the plain character here ('' for anything else) and where it ends; -1: give up."""
    char = pattern[at]
    match char:
        case "\\":
            return _escaped(pattern[at + 1 : at + 2], at + 2)
        case "[":
            return "", _end_of_class(pattern, at)
        case "(":
            return "", _end_of_group(pattern, at)
        case "|" | ")":
            return "", -1
    return "" if char in ".^$*+?{}" else char, at + 1


def _escaped(char: str, end: int) -> tuple[str, int]:
    if not char or (_LETTER.match(char) and char not in "dDwWsSbB"):
        return "", -1  # \x41, \p{L}, \Q…\E, \z: rare, not worth reading
    return "" if _LETTER.match(char) else char, end


def _end_of_class(pattern: str, at: int) -> int:
    at += 1
    at += pattern[at : at + 1] == "^"
    at += pattern[at : at + 1] == "]"
    while at < len(pattern) and pattern[at] != "]":
        if pattern[at] == "[":
            return -1  # [[:alpha:]]
        at += 2 if pattern[at] == "\\" else 1
    return at + 1 if at < len(pattern) else -1


def _end_of_group(pattern: str, at: int) -> int:
    if pattern.startswith("(?", at) and not pattern.startswith("(?:", at):
        return -1  # flags or names
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if pattern[at + 1 : at + 2] in "QE":
                return -1
            at += 2
            continue
        if char == "[":
            at = _end_of_class(pattern, at)
            if at < 0:
                return -1
            continue
        depth += (char == "(") - (char == ")")
        at += 1
        if depth == 0:
            return at
    return -1
