"""How rules see an event: which fields it has under which names, and their values as texts."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import orjson

from detections.facts import FACTS
from detections.rule import Derived

OBJECT_TEXT: Final = "{}"  # of an object that JSON can't spell

_Json = Any  # any JSON value

# Reads one field; None if there is none. `doc` is the event, or the foreign record inside it.
Read = Callable[[Mapping[str, Any], Derived], Any]


class Source(NamedTuple):
    """A foreign audit log inside our events: under `details.<key>` of actions `<prefix>…`."""

    product: str
    service: str
    prefix: str
    key: str


# One service per product is known by where the record lies; '' takes rules of any service.
SOURCES: Final = (
    Source("aws", "cloudtrail", "aws", "cloudtrail"),
    Source("azure", "", "azure", "azure"),
    Source("gcp", "", "gcp", "gcp"),
    Source("okta", "okta", "okta", "okta"),
    Source("m365", "", "m365", "m365"),
    Source("kubernetes", "audit", "kubernetes", "kubernetes"),
    Source("github", "audit", "github", "github"),
    Source("bitbucket", "audit", "bitbucket", "bitbucket"),
    Source("onelogin", "onelogin.events", "onelogin", "onelogin"),
    Source("cisco", "duo", "duo", "duo"),
)
NATIVE: Final = "dutycall"

# Names that rules use, by the attribute of `Derived` that has the value.
DERIVED_FLAGS: Final[Mapping[str, str]] = {
    "protected": "is_protected",
    "has_changes": "has_changes",
    "off_hours": "is_off_hours",
}
DERIVED_TEXTS: Final = frozenset(
    {"occurred", "category", "verb", "result", "role", "department", "user_status", "country",
     "as_name", "client", "data_class"}
)  # fmt: skip
_DERIVED: Final[Mapping[str, Callable[[Derived], Any]]] = {
    **{name: attrgetter(attribute) for name, attribute in DERIVED_FLAGS.items()},
    **{name: attrgetter(name) for name in (*DERIVED_TEXTS, "asn", "changed", "flags")},
}
_MAY_BE_EMPTY: Final = frozenset({*DERIVED_TEXTS, "asn", "changed", "flags"})
FACT_COST: Final = 64  # a fact walks through the details


def texts_of(value: _Json) -> tuple[str, ...]:
    """Spell a value as texts: each member of a list, an object as JSON, nothing for null."""
    if type(value) is str:
        return (value,)
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        found: list[str] = []
        stack = list(reversed(value))
        while stack:
            member = stack.pop()
            if isinstance(member, list | tuple):
                stack.extend(reversed(member))
            elif member is not None:
                found.append(_spell(member))
        return tuple(found)
    return (_spell(value),)


def _spell(value: _Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if isinstance(value, int | float):
            return str(value).lower()
        return orjson.dumps(value).decode()
    except (ValueError, TypeError, RecursionError):  # more digits, or deeper, than JSON has
        return OBJECT_TEXT


def strings_of(doc: Mapping[str, Any]) -> list[str]:
    """Return every text value of an event, at any depth, keys left out: where keywords look."""
    found: list[str] = []
    stack: list[Any] = [doc]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            found.append(node)
        elif isinstance(node, Mapping):
            stack.extend(node.values())
        elif isinstance(node, list | tuple):
            stack.extend(node)
    return found


# One step of a path: the name of a member, and the whole rest, which may be one key as well.
_Steps = tuple[tuple[str, str], ...]


def _steps_of(field: str) -> _Steps:
    names = field.split(".")
    return tuple((name, ".".join(names[place:])) for place, name in enumerate(names))


def _reach(node: _Json, steps: _Steps) -> _Json:
    """Follow a path; at every object the whole rest may be one key; through lists, all members."""
    for place, (name, whole) in enumerate(steps):
        if isinstance(node, list | tuple):
            found = [v for member in node if (v := _reach(member, steps[place:])) is not None]
            return found or None
        if not isinstance(node, Mapping):
            return None
        if whole in node:
            return node[whole]
        node = node.get(name)
        if node is None:
            return None
    return node


@lru_cache(maxsize=16_384)
def reader(field: str, *, is_native: bool) -> Read:
    """Return what reads a field: derived names first (native events only), then as it is named."""
    if is_native and field in _DERIVED:
        derive = _DERIVED[field]
        if field in _MAY_BE_EMPTY:  # '' and 0 there mean that nothing is known
            return lambda _doc, derived: derive(derived) or None
        return lambda _doc, derived: derive(derived)
    if is_native and field in FACTS:
        return FACTS[field]
    if "." not in field:
        return lambda doc, _derived: doc.get(field)
    steps = _steps_of(field)
    head, _, tail = field.partition(".")
    if "." in tail:
        return lambda doc, _derived: _reach(doc, steps)

    def read(doc: Mapping[str, Any], _derived: Derived) -> _Json:
        node = doc.get(head)
        if type(node) is dict and field not in doc:
            return node.get(tail)
        return _reach(doc, steps)

    return read


def reading_cost(field: str) -> int:
    """Estimate what it costs to read a field, beside looking a key up."""
    if not field or field in FACTS:
        return FACT_COST
    return 0 if field in _DERIVED else 1 + field.count(".")


def is_plain(field: str, *, is_native: bool) -> bool:
    """Say whether a field is simply a key of the event."""
    return "." not in field and not (is_native and (field in _DERIVED or field in FACTS))
