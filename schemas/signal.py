"""The signal: what stage 1 tells stage 2 of events that rules with a memory ask for.

A message on `audit.signals` is JSON: the entries that one run of a source partition has for one
(stateful rule, group). Its key is that of the state it goes to.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from schemas.errors import BadEvent

ENTRIES_MAX: Final = 10_000  # of one message; stage 1 cuts after the event with the 1,000th
GROUP_MAX: Final = 16  # texts of a group
TEXT_MAX: Final = 256  # characters of a text in a group, value or `Who`
TEXT_BYTES_MAX: Final = 512  # of such a text that was bounded
VALUE_MAX: Final = 16  # scalars of one value
SLOT_MAX: Final = 255
MS_MAX: Final = 2**53  # what every JSON reader keeps exactly
SIGNAL_BYTES_MAX: Final = 4 * 1024 * 1024
CHAINED: Final = -1  # the partition of a signal that stage 2 made of an alert

_SEPARATOR: Final = "\x1f"
_NUMBERS: Final = 4  # of an entry: offset, occurred_ms, recorded_ms, slot
_DIGEST_BYTES: Final = 8
_KEY_PARTS_MIN: Final = 3

Scalar = str | int | float | None
Value = Scalar | list[Scalar]


class Who(NamedTuple):
    """What an alert will say of the event behind an entry; '' where nothing is known."""

    event_id: str
    user: str = ""
    action: str = ""
    resource: str = ""
    ip_address: str = ""
    session_id: str = ""


# offset, occurred_ms, recorded_ms, slot, value, who. Bare: a named tuple takes five times as long
# to make. `slot` is the place of the base rule among those of the plan.
Entry = tuple[int, int, int, int, Value, Sequence[str]] | list[Any]


class Signal(NamedTuple):
    """The entries of one (rule, group) in one run, by offset; a repeat has the same ones.

    `group` holds the values of the plan's group fields in their order. `partition` is that of
    the source topic, or `CHAINED`.
    """

    rule: str
    version: int
    tenant: str
    group: tuple[str, ...]
    incarnation: str
    partition: int
    entries: Sequence[Entry]


class StateKey(NamedTuple):
    """Whose state it is."""

    rule: str
    version: int
    tenant: str
    group: tuple[str, ...]


def bound_text(text: str) -> str:
    """Return a text within `TEXT_MAX` and `TEXT_BYTES_MAX`; different texts stay different."""
    if len(text) <= TEXT_MAX and (text.isascii() or len(_encoded(text)) <= TEXT_BYTES_MAX):
        return text
    digest = blake2b(_encoded(text), digest_size=_DIGEST_BYTES).hexdigest()
    left = 1 + len(digest)
    begin = _encoded(text[: TEXT_MAX - left])[: TEXT_BYTES_MAX - left].decode("utf-8", "ignore")
    return f"{begin}~{digest}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def encode(signal: Signal) -> bytes:
    """Return the message's bytes; the inverse of `decode`."""
    rule, version, tenant, group, incarnation, partition, entries = signal
    return orjson.dumps(  # as _asdict() has it, in two thirds of the time
        {
            "rule": rule,
            "version": version,
            "tenant": tenant,
            "group": group,
            "incarnation": incarnation,
            "partition": partition,
            "entries": entries,
        }
    )


def decode(raw: bytes | None) -> Signal:
    """Parse one message. Raises `BadEvent` naming the first fault; never quotes a value."""
    if raw is None or len(raw) > SIGNAL_BYTES_MAX:
        raise BadEvent("signal", "missing" if raw is None else "too_large")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadEvent("signal", "not_json") from error
    if type(body) is not dict:
        raise BadEvent("signal", "not_an_object")
    group, entries = body.get("group"), body.get("entries")
    if type(group) is not list or len(group) > GROUP_MAX or not all(map(_is_text, group)):
        raise BadEvent("group", "not_texts")
    if type(entries) is not list or not 0 < len(entries) <= ENTRIES_MAX:
        raise BadEvent("entries", "not_a_list", f"1 to {ENTRIES_MAX} entries")
    for entry in entries:
        _check(entry)
    return Signal(
        _text(body, "rule"),
        _number(body, "version", 1),
        _text(body, "tenant"),
        tuple(group),
        _text(body, "incarnation"),
        _number(body, "partition", CHAINED),
        entries,
    )


def state_key(rule: str, version: int, tenant: str, group: Sequence[str]) -> bytes:
    """Name a state; the inverse of `parse_key`. Different groups never share a name."""
    parts = (rule, str(version), tenant, *group)
    text = _SEPARATOR.join(parts)
    if "%" in text or text.count(_SEPARATOR) != len(parts) - 1:
        text = _SEPARATOR.join(
            part.replace("%", "%25").replace(_SEPARATOR, "%1f") for part in parts
        )
    return text.encode("utf-8", "replace")


def key_of(signal: Signal) -> bytes:
    """Name the state that a signal goes to."""
    return state_key(signal.rule, signal.version, signal.tenant, signal.group)


def parse_key(key: bytes) -> StateKey:
    """Read a name. Raises `BadEvent` for what `state_key` can't have written."""
    try:
        parts = key.decode().split(_SEPARATOR)
        if len(parts) < _KEY_PARTS_MIN:
            raise BadEvent("key", "too_few_parts")
        if b"%" in key:
            parts = [part.replace("%1f", _SEPARATOR).replace("%25", "%") for part in parts]
        return StateKey(parts[0], int(parts[1]), parts[2], tuple(parts[3:]))
    except ValueError as error:
        raise BadEvent("key", "unreadable") from error


def _is_text(value: object) -> bool:
    return type(value) is str and len(value) <= TEXT_MAX


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if type(value) is not str or len(value) > TEXT_MAX:
        raise BadEvent(name, "not_a_text")
    return value


def _number(body: dict[str, Any], name: str, least: int) -> int:
    value = body.get(name)
    if type(value) is not int or not least <= value <= MS_MAX:
        raise BadEvent(name, "not_a_number")
    return value


def _check(entry: object) -> None:
    """Raise `BadEvent` for an entry that stage 1 would not have written."""
    if type(entry) is not list or len(entry) != _NUMBERS + 2:
        raise BadEvent("entry", "not_an_entry")
    offset, occurred_ms, recorded_ms, slot, value, who = entry
    if not (type(offset) is type(occurred_ms) is type(recorded_ms) is type(slot) is int):
        raise BadEvent("entry", "not_a_number")
    if not (
        0 <= offset <= MS_MAX
        and -MS_MAX <= occurred_ms <= MS_MAX
        and 0 <= recorded_ms <= MS_MAX
        and 0 <= slot <= SLOT_MAX
    ):
        raise BadEvent("entry", "out_of_range")
    if type(who) is not list or len(who) != len(Who._fields) or not all(map(_is_text, who)):
        raise BadEvent("entry", "who_not_texts")
    if type(value) is list:
        if len(value) > VALUE_MAX or not all(map(_is_scalar, value)):
            raise BadEvent("entry", "value_not_scalars")
    elif not _is_scalar(value):
        raise BadEvent("entry", "value_not_scalar")


def _is_scalar(value: object) -> bool:
    return value is None or type(value) in (int, float) or _is_text(value)
