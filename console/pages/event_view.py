"""What the event page shows: details as a tree, raw bytes folded, and what lies around. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from console.access import Principal
from console.pages.rendering import link
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.query.write import details, quoted, term
from console.search.rendering import Row, render_address
from schemas.actions import ACTIONS

LEAVES_MAX: Final = 200  # a person reads no more at first; "show all" has the rest
LEAVES_ALL_MAX: Final = 20_000  # 256 KiB of JSON hold fewer values that anybody looks for
TEXT_MAX: Final = 1_000  # characters of one value at first
RAW_MAX: Final = 16_384  # characters of the raw text at first
DEPTH_MAX: Final = 32  # deeper values are shown as JSON
LINKED_MAX: Final = 200  # characters of a value that a search by it still makes sense for


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of the details under its name; a value that holds others has none itself."""

    depth: int
    name: str
    text: str | None
    kind: str
    search: str


class Folded(NamedTuple):
    """The beginning of something, and how much there is of it."""

    shown: Any
    size: int
    is_cut: bool


def tree(text: str, *, whole: bool) -> Folded:
    """Return the values of a JSON object, each with its depth; the first ones unless `whole`."""
    most = LEAVES_ALL_MAX if whole else LEAVES_MAX
    found: list[Leaf] = []
    for leaf in _leaves(_read(text), (), 0, None if whole else TEXT_MAX):
        if len(found) == most:
            return Folded(found, most, is_cut=True)
        found.append(leaf)
    return Folded(found, len(found), is_cut=any(leaf.kind == "cut" for leaf in found))


def fold(text: str, *, whole: bool) -> Folded:
    """Return the text, or its beginning unless `whole`."""
    if whole or len(text) <= RAW_MAX:
        return Folded(text, len(text), is_cut=False)
    return Folded(text[:RAW_MAX], len(text), is_cut=True)


def prettied(raw: str) -> str | None:
    """Return the JSON with lines and indents, its numbers as written; None if it can't be read."""
    try:
        return "".join(_written(_read(raw), "\n"))
    except (ValueError, RecursionError):
        return None


class _Number(str):
    """The digits of a number as they are written, of any length."""

    __slots__ = ()


def _read(text: str) -> object:
    found: object = json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
    return found


def _written(value: object, line: str) -> Iterator[str]:
    """Yield the JSON of a value in pieces; `line` is a line break with the indent."""
    deeper = line + "  "
    if isinstance(value, Mapping) and value:
        yield "{"
        for number, (name, inner) in enumerate(value.items()):
            yield f"{',' if number else ''}{deeper}{_json(name)}: "
            yield from _written(inner, deeper)
        yield line + "}"
    elif isinstance(value, list) and value:
        yield "["
        for number, inner in enumerate(value):
            yield f"{',' if number else ''}{deeper}"
            yield from _written(inner, deeper)
        yield line + "]"
    else:
        yield _json(value)


def _json(value: object) -> str:
    return value if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def _leaves(value: object, path: tuple[str, ...], depth: int, most: int | None) -> Iterator[Leaf]:
    if isinstance(value, Mapping) and depth < DEPTH_MAX:
        named = [(str(name), inner, (*path, str(name))) for name, inner in value.items()]
    elif isinstance(value, list) and depth < DEPTH_MAX:
        named = [(f"{number + 1}.", inner, ()) for number, inner in enumerate(value)]
    else:
        return
    for name, inner, inner_path in named:
        if isinstance(inner, Mapping | list) and inner and depth + 1 < DEPTH_MAX:
            yield Leaf(depth, name, None, "group", "")
            yield from _leaves(inner, inner_path, depth + 1, most)
        else:
            yield _leaf(depth, name, inner, inner_path, most)


def _leaf(depth: int, name: str, value: object, path: tuple[str, ...], most: int | None) -> Leaf:
    text = value if isinstance(value, str) else "".join(_written(value, "\n"))
    kind = "text" if type(value) is str else "literal"
    search = ""
    if path and isinstance(value, str | bool) and 0 < len(text) <= LINKED_MAX:
        search = link("/search", q=f"{details(*path)}:{quoted(text)}")
    if most is not None and len(text) > most:
        return Leaf(depth, name, f"{text[:most]}…", "cut", search)
    return Leaf(depth, name, text, kind, search)


class Around(NamedTuple):
    """One way to look at what happened before and after: by what, and of which events."""

    key: str
    title: str
    text: str
    field: str
    found: Conditions
    page: str


def arounds(row: Row, principal: Principal) -> list[Around]:
    """Return the ways that an event has: its session, resource, user and address."""
    base = scoped(principal).also("tenant = {a_tenant:String}", a_tenant=row["tenant"])
    ways = []
    if row["session_id"]:
        ways.append(_by("session", "This session", "session_id", row["session_id"], base))
    if row["resource"]:
        found = base.also("resource = {a_resource:String}", a_resource=row["resource"])
        if row["resource_id"]:
            found = found.also("resource_id = {a_id:String}", a_id=row["resource_id"])
        query = " ".join(term(name, row[name]) for name in ("resource", "resource_id") if row[name])
        text = f"{row['resource']} {row['resource_id']}".strip()
        ways.append(
            Around("resource", "This resource", text, "resource", found, link("/search", q=query))
        )
    ways.append(_by("user", "This user", "user", row["user"], base))
    address = render_address(row["address"])
    if address:
        found = base.also("ip_address = toIPv6({a_ip:String})", a_ip=row["address"])
        page = link("/search", q=term("ip", address))
        ways.append(Around("ip", "This address", address, "ip", found, page))
    return ways


def _by(key: str, title: str, column: str, value: str, base: Conditions) -> Around:
    found = base.also(f"{column} = {{a_value:String}}", a_value=value)
    return Around(key, title, value, key, found, link("/search", q=term(key, value)))


def in_words(action: str) -> str:
    """Return an action as people say it."""
    known = ACTIONS.get(action)
    return known.title if known else action.replace(".", " ").replace("_", " ").capitalize()
