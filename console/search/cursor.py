"""The cursor: where a page ended, so that the next one begins right after it.

It names the last row by its sort key, so rows that arrive meanwhile neither repeat nor hide
others. It holds no right: whoever changes it only sees another part of what they may see anyway.
"""

import base64
import binascii
import hashlib
from typing import Any, Final, NamedTuple

import orjson

from console.web.problems import Refused

VERSION: Final = 1
LENGTH_MAX: Final = 512
INT_MAX: Final = 2**63 - 1

Part = str | int


class Cursor(NamedTuple):
    """The sort key of the last row shown: its moment, then what tells equal moments apart."""

    moment_us: int
    key: tuple[Part, ...]


EVENT_KEY: Final[tuple[type[Part], ...]] = (str, int, int)  # incarnation, partition, offset
ALERT_KEY: Final[tuple[type[Part], ...]] = (str,)  # alert_id


def fingerprint(asked: dict[str, object]) -> str:
    """Name a question: a cursor of one question is refused by another."""
    text = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:12]


def encode(cursor: Cursor, question: str) -> str:
    """Return the opaque text; the inverse of `decode`."""
    packed = orjson.dumps([VERSION, question, cursor.moment_us, *cursor.key])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str, question: str, shape: tuple[type[Part], ...]) -> Cursor:
    """Read a cursor. Raises `Refused` on anything that `encode` would not give for `question`."""
    parts = _unpack(text)
    if len(parts) != 3 + len(shape) or parts[0] != VERSION:
        raise _unreadable()
    if parts[1] != question:
        raise Refused(
            "bad_cursor",
            "the cursor belongs to another search",
            field="cursor",
            cure="keep the other parameters as they were, or ask without the cursor",
        )
    moment_us, *key = parts[2:]
    kinds = (int, *shape)
    for part, kind in zip((moment_us, *key), kinds, strict=True):
        if type(part) is not kind or (isinstance(part, int) and abs(part) > INT_MAX):
            raise _unreadable()
    return Cursor(moment_us, tuple(key))


def _unpack(text: str) -> list[Any]:
    if len(text) > LENGTH_MAX or not text.isascii():
        raise _unreadable()
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        parts = orjson.loads(packed)
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise _unreadable() from error
    if not isinstance(parts, list):
        raise _unreadable()
    return parts


def _unreadable() -> Refused:
    return Refused("bad_cursor", "the cursor can't be read", field="cursor")
