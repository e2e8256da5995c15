"""Facts: what the details of an event amount to, for conditions that no pattern can express.

A rule names a fact like any other field; it is worked out only when a rule asks. Each is total
for any JSON, and None where the event says nothing of it.

Source: the rules on MITRE ATT&CK T1070, T1098, T1530, T1685 that these were made for.
Blind spot: a change that is reported without its before and after.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from detections.rule import Derived, Fields
from detections.words import is_off, is_on, number_of, span_s, walk, words_of

NAMES_CACHED_MAX: Final = 4_096  # names of actions, resources and settings seen lately
FOUND_MAX: Final = 64  # of one fact of one event; more would only repeat what is wrong
TEXTS_MAX: Final = 256  # role names that one object may name
KEYS_MAX: Final = 1_024  # settings of one event that are compared, in their order; real ones: tens
NAME_MAX: Final = 256  # characters of a name that are read: names are kept, so they must be short

Fact = Callable[[Fields, Derived], Any]

_RETENTION: Final = frozenset({"retention", "retain", "ttl", "expiry", "expiration"})
_SPANS: Final = ("days", "period", "duration", "months", "years")
_OFF_WORDS: Final = frozenset(
    {"disabled", "disable", "off", "deactivated", "deactivate", "stopped", "stop", "deleted",
     "delete", "removed", "remove", "reset", "paused", "suspended"}
)  # fmt: skip
_SWITCH_WORDS: Final = frozenset({"enabled", "active", "required", "enforced", "status", "state"})
_ROLE_KEYS: Final = frozenset(
    {"role", "roles", "new_role", "role_name", "granted_role", "permission", "permissions",
     "group", "group_name", "policy", "policy_name", "policy_arn", "after", "added", "privilege"}
)  # fmt: skip
_PAST: Final = ("before", "removed", "old", "previous")
_OWNER_KEYS: Final = ("for_user", "owner", "target_user", "created_for", "subject")
_COUNTS: Final = ("record_count", "records", "row_count", "rows", "count")


def retention_shortened(fields: Fields, _derived: Derived) -> list[str] | None:
    """Tell each span of retention that became shorter, as "90 days to 30 days"."""
    named = not _RETENTION.isdisjoint(words_of(f"{fields['action']} {fields.get('resource')}"))
    pairs = (
        pair
        for key, node in walk(fields.get("details"))
        if "after" in node
        and (named or not _RETENTION.isdisjoint(_words(f"{_cut(key)} {_setting_of(node)}")))
        for pair in _settings(node)
    )
    shorter = (
        f"{old} to {new}"
        for name, old, new in islice(pairs, KEYS_MAX)
        if (name is None or _is_span(name, named=named)) and _is_shorter(old, new)
    )
    return list(islice(shorter, FOUND_MAX)) or None


def _setting_of(node: Fields) -> str:
    """Name the setting that an object says it is about; '' if it doesn't."""
    named = node.get("field") or node.get("setting") or node.get("name")
    return named if isinstance(named, str) else ""


def _settings(node: Fields) -> Iterator[tuple[str | None, object, object]]:
    """Yield name, before and after of each setting that an object says has changed."""
    before, after = node.get("before"), node.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        for name, old in before.items():
            yield name, old, after.get(name)
    else:
        yield None, before, after


def _is_shorter(old: object, new: object) -> bool:
    old_s, new_s = span_s(old), span_s(new)
    return old_s is not None and new_s is not None and new_s < old_s


def _is_span(name: str, *, named: bool) -> bool:
    words = _words(name)
    return not _RETENTION.isdisjoint(words) or (named and not words.isdisjoint(_SPANS))


def switched_off(fields: Fields, derived: Derived) -> list[str] | None:
    """Name each switch that went off, by all words of its names: "mfa required settings sso".

    By the action itself (security.mfa.disabled), or by a before and after in the details.
    """
    action = _all_words(fields["action"])
    is_role = derived.category == "permission"  # there a resource is a role, whatever its name
    about = action if is_role else action | _all_words(fields.get("resource") or "")
    found = [] if _OFF_WORDS.isdisjoint(action) else [about]
    if derived.has_changes:
        found += islice(_gone_off(fields.get("details"), about), FOUND_MAX)
    return [" ".join(sorted(words)) for words in found[:FOUND_MAX]] or None


def _switch_of(node: Fields) -> str:
    named = node.get("setting") or node.get("field")
    return named if isinstance(named, str) else ""


def _gone_off(details: object, about: frozenset[str]) -> Iterator[frozenset[str]]:
    """Yield the words of each switch that a before and after tell to have gone off."""
    pairs = (
        (node, key, *pair)
        for key, node in walk(details)
        if "after" in node
        for pair in _settings(node)
    )
    for node, key, name, old, new in islice(pairs, KEYS_MAX):
        if not _turned(old, new):
            continue
        words = frozenset() if name is None else _all_words(name)
        if _SWITCH_WORDS.isdisjoint(words) and name is not None:
            yield words
        else:  # "enabled" says nothing of what: the names around it do
            yield words | about | _all_words(f"{_cut(key)} {_switch_of(node)}")


def _turned(before: object, after: object) -> bool:
    return is_off(after) and (before is None or is_on(before))


def _cut(name: str) -> str:
    return name[:NAME_MAX]


def _words(name: str) -> frozenset[str]:
    return words_of(_cut(name))


def _all_words(name: str) -> frozenset[str]:
    """Give the words of a name, and of each of its parts as one: `two_factor` → `twofactor`."""
    return _all_words_of(_cut(name))


@lru_cache(maxsize=NAMES_CACHED_MAX)
def _all_words_of(name: str) -> frozenset[str]:
    parts = name.replace(" ", ".").split(".")
    joined = {part.replace("_", "").replace("-", "").lower() for part in parts}
    return words_of(name) | {word for word in joined if word}


def roles_given(fields: Fields, _derived: Derived) -> list[str] | None:
    """Name the roles, groups and policies that an event gives, without those held before."""
    given = (
        role
        for key, node in walk(fields.get("details"))
        if key not in _PAST
        for role in _roles_new(node)
    )
    return list(dict.fromkeys(islice(given, FOUND_MAX))) or None  # `role` and `after` may say one


def _roles_new(node: Fields) -> Iterator[str]:
    """Yield the roles that an object names, without those it says were held before."""
    before = node.get("before")
    listed = before if isinstance(before, list) else [before]
    held: frozenset[str] | None = None
    for role in _roles(node):
        if held is None:  # once, and only where there is a role: it may be long
            held = frozenset(item for item in listed if isinstance(item, str))
        if role not in held:
            yield role


def _roles(node: Fields) -> Iterator[str]:
    for name, value in islice(node.items(), TEXTS_MAX):
        if name in _ROLE_KEYS:
            if isinstance(value, str):
                yield value
            elif isinstance(value, list):
                yield from (item for item in value[:TEXTS_MAX] if isinstance(item, str))


def target(fields: Fields, _derived: Derived) -> str | None:
    """Name the account that an event is about: its target, else the resource's id."""
    details = fields.get("details") or {}
    named = (details.get("target_user"), fields.get("resource_id"), fields.get("on_behalf_of"))
    return next((name for name in named if isinstance(name, str) and name), None)


def key_owner(fields: Fields, _derived: Derived) -> str | None:
    """Name whom a key acts for, if that is another than who made it."""
    details = fields.get("details") or {}
    owners = (fields.get("on_behalf_of"), *(details.get(name) for name in _OWNER_KEYS))
    other = next((name for name in owners if isinstance(name, str) and name), None)
    if other is None or other.casefold() == fields["user"].casefold():
        return None
    return other


def records(fields: Fields, _derived: Derived) -> float | None:
    """Count the records that an event handed out, as its details tell."""
    details = fields.get("details") or {}
    found = (number_of(details[name]) for name in _COUNTS if name in details)
    return next((number for number in found if number is not None), None)


def size_mb(fields: Fields, _derived: Derived) -> float | None:
    """Tell the size of what was handed out, in 10^6 bytes."""
    details = fields.get("details") or {}
    if (found := number_of(details.get("file_size_mb"))) is not None:
        return found
    size_bytes = number_of(details.get("file_size_bytes"))
    return None if size_bytes is None else size_bytes / 1_000_000


FACTS: Final[Mapping[str, Fact]] = MappingProxyType(
    {
        fact.__name__: fact
        for fact in (
            retention_shortened,
            switched_off,
            roles_given,
            target,
            key_owner,
            records,
            size_mb,
        )
    }
)
