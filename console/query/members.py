"""Values in the details, under the keys of a path, as SQL over parameters.

Of a list each value counts. A text is compared without its quotes, a number as a number too.
"""

import re
from collections.abc import Sequence
from typing import Final

import orjson

from console.query.patterns import UNSURE, Bind, pattern_sql
from console.query.tree import Parts, Term

_NUMBER: Final = re.compile(r"-?\d{1,30}(\.\d{1,30})?", re.ASCII)
_VALUE: Final = "if(startsWith(x, '\"'), JSONExtractString(x), x)"
_AS_NUMBER: Final = f"toFloat64OrNull({_VALUE})"


def member_sql(term: Term, bind: Bind) -> str:
    """Return the condition of a term on a value in the details."""
    needles = [term.path[-1]]
    if term.operator == ":" and not _is_number(term.parts):
        needles.append(max(term.parts, key=len))
    found = _found(term.path, bind)
    return f"({_likely(needles, bind)} AND arrayExists(x -> {_compared(term, bind)}, {found}))"


def member_given(path: Parts, bind: Bind) -> str:
    """Return the condition that there is such a value, and that it is not null."""
    return f"({_likely(path[-1:], bind)} AND {_raw(path, bind)} NOT IN ('', 'null'))"


def _compared(term: Term, bind: Bind) -> str:
    if term.operator == "..":
        low, high = bind(float(term.value), "Float64"), bind(float(term.high), "Float64")
        return f"ifNull({_AS_NUMBER} BETWEEN {low} AND {high}, 0)"
    if term.operator != ":":
        return f"ifNull({_AS_NUMBER} {term.operator} {bind(float(term.value), 'Float64')}, 0)"
    if _is_number(term.parts):
        number = bind(float(term.value), "Float64")
        return f"({_VALUE} = {bind(term.value)} OR ifNull({_AS_NUMBER} = {number}, 0))"
    if not any(term.parts):
        return "x NOT IN ('', 'null')"
    return pattern_sql(_VALUE, term.parts, bind)


def _is_number(parts: Parts) -> bool:
    return len(parts) == 1 and _NUMBER.fullmatch(parts[0]) is not None


def _found(path: Parts, bind: Bind) -> str:
    """Return the values as a list of JSON texts: of a list its own, else the one there is."""
    raw = _raw(path, bind)
    return f"if(startsWith({raw}, '['), JSONExtractArrayRaw({raw}), [{raw}])"


def _raw(path: Parts, bind: Bind) -> str:
    return f"JSONExtractRaw(details, {', '.join(bind(key) for key in path)})"


def _likely(needles: Sequence[str], bind: Bind) -> str:
    """Return what the raw bytes must hold for it, which is cheaper than reading the details."""
    held = [f"position(raw, {bind(_as_json(needle))}) > 0" for needle in needles if needle]
    return f"(({' AND '.join(held)}) OR {UNSURE})"


def _as_json(text: str) -> str:
    return orjson.dumps(text).decode()[1:-1]
