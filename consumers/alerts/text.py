"""An alert in words: what, who, from where, why, what to do. Plain text, whatever an event held.

Values come from outside: a name may hold terminal escapes, markup, mentions or links that a chat
service would act on. None of them leaves here as such.
"""

import re
import unicodedata
from typing import Final

from schemas.alert import Alert

TITLE_CHARS_MAX: Final = 200
VALUE_CHARS_MAX: Final = 256
BODY_CHARS_MAX: Final = 1_800  # the smallest of the usual services takes 2,000
ELLIPSIS: Final = "…"
# Cc control, Cf invisible or turning the line around, Cs, Co and Cn nothing that can be read,
# Zl and Zp line ends that look like none
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What chat services and mail programs take for markup, mentions and links has a zero effect once
# these characters are their full-width likes; people read them the same.
_LIKES: Final = str.maketrans(
    "<>&`*~|[]\\", "\u2039\u203a\uff06\u02cb\u2217\u223c\u2223\uff3b\uff3d\uff3c"
)
_LINK: Final = re.compile(r"(?i)\b(https?|ftp|javascript|data|file):")
_MENTION: Final = re.compile(r"(^|[^\w.])@(?=\w)")


def neutral(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    """Return the text on one line, without control characters and markup, of bounded length.

    Total. Idempotent. Addresses such as jane@company.com stay as they are.
    """
    return plain(
        _MENTION.sub("\\1\uff20", _LINK.sub("\\1\uff1a", plain(text, chars_max))), chars_max
    )


def plain(text: str, chars_max: int) -> str:
    """Return the text as `neutral` does, but with its links: for texts of our own rules."""
    visible = "".join(
        "\ufffd" if unicodedata.category(char) in _HIDDEN else char
        for char in text[: chars_max * 2].replace("\n", " ").replace("\t", " ")
    )
    shown = visible.translate(_LIKES).strip()
    return shown if len(shown) <= chars_max else shown[: chars_max - 1] + ELLIPSIS


def title_of(alert: Alert) -> str:
    """Return the one line that a phone shows."""
    return neutral(f"{alert.severity.upper()}: {alert.title}", TITLE_CHARS_MAX)


def body_of(alert: Alert) -> str:
    """Return what a person needs in order to act, and where to look further."""
    lines = [neutral(alert.summary, 512)]
    for label, value in (
        ("Who", alert.user),
        ("From", alert.ip_address),
        ("What", alert.action),
        ("On", alert.resource),
        ("Session", alert.session_id),
        ("When", alert.occurred),
        ("Tenant", alert.tenant),
        ("Rule", f"{alert.rule_id} v{alert.rule_version}"),
        ("Events", str(alert.event_count) if alert.event_count > 1 else ""),
    ):
        if value:
            lines.append(f"{label}: {neutral(value, 512)}")
    if alert.runbook:
        lines.append(f"Do: {plain(alert.runbook, 512)}")
    if alert.event_ids:
        lines.append(f"Look: audit show {neutral(alert.event_ids[0], 64)}")
    tail = f"Alert: {alert.alert_id}"
    body = "\n".join(lines)
    room = BODY_CHARS_MAX - len(tail) - 1
    return f"{body if len(body) <= room else body[: room - 1] + ELLIPSIS}\n{tail}"


def line_of(alert: Alert) -> str:
    """Return the alert as one line for a terminal or a log."""
    who = f" · {neutral(alert.user)}" if alert.user else ""
    where = f" from {neutral(alert.ip_address)}" if alert.ip_address else ""
    what = f" · {neutral(alert.summary, 256)}" if alert.summary else ""
    return f"{title_of(alert)}{who}{where}{what} · {alert.alert_id}"
