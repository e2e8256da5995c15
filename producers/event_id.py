"""Ids of events that have none: time-ordered, and the same for every retry of one publication."""

import secrets
from typing import Final

_RANDOM_BITS: Final = 74
_MS_MASK: Final = (1 << 48) - 1


def time_ordered_id(now_ms: int, random_bits: int | None = None) -> str:
    """Return a UUID of version 7 (RFC 9562): 48 bits of `now_ms`, 74 random ones."""
    noise = secrets.randbits(_RANDOM_BITS) if random_bits is None else random_bits
    high, low = noise >> 62 & 0xFFF, noise & ((1 << 62) - 1)
    number = (now_ms & _MS_MASK) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
