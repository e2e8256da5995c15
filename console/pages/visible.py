"""Untrusted text on a page: it is shown as text, and what would deceive the eye is made visible."""

import re
import unicodedata
from typing import Final

from markupsafe import Markup

# Controls but tab and line breaks, marks that turn the direction of text, and spaces of no width.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def visible(value: object) -> object:
    """Return what to put on the page for a value; markup of our own stays as it is. Total."""
    if value is None:
        return ""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _UNSEEN.sub(_name, value)


def _name(found: re.Match[str]) -> str:
    character = found[0]
    name = unicodedata.name(character, "")
    return f"⟨{name or f'U+{ord(character):04X}'}⟩"
