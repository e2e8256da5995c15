"""An alert in words: what, who, from where, why, what to do. Plain text, whatever an event held.

Values come from outside: a name may hold terminal escapes, markup, mentions or links that a chat
service would act on. None of them leaves here as such.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from schemas.alert import SEVERITIES, Alert

TITLE_CHARS_MAX: Final = 200
VALUE_CHARS_MAX: Final = 256
BODY_CHARS_MAX: Final = 1_800  # the smallest of the usual services takes 2,000
WHY_CHARS_MAX: Final = 400
DIGEST_LINES_MAX: Final = 10
DIGEST_REASONS: Final = {
    "throttled": "More came than may be told one by one",
    "quiet": "Held through quiet hours",
    "digest": "Since the last digest",
}
RUNBOOK_LINES_MAX: Final = 8
RUNBOOK_LINE_MAX: Final = 400  # two values of 200, as a runbook's command may hold
ELLIPSIS: Final = "…"
# Cc control, Cf invisible or turning the line around, Cs, Co and Cn nothing that can be read,
# Zl and Zp line ends that look like none
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What chat services and mail programs take for markup, mentions and links has a zero effect once
# these characters are their full-width likes; people read them the same.
_LIKES: Final = str.maketrans(
    "<>&`*~|[]\\", "\u2039\u203a\uff06\u02cb\u2217\u223c\u2223\uff3b\uff3d\uff3c"
)
# A runbook's commands hold stars, and values only as quoted for a shell.
_LIKES_BUT_STAR: Final = {code: like for code, like in _LIKES.items() if code != ord("*")}
_WHOLE_LINK: Final = re.compile(r"(?i)\b(https?|ftp|javascript|data|file):[^\s'\"]*")
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/=+-]{0,127}")  # as it is for any shell
_SAFE_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+:-]{0,127}")
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
    """Return the text as `neutral` does, but with its links."""
    return _short(_visible(text, chars_max).translate(_LIKES).strip(), chars_max)


def _visible(text: str, chars_max: int) -> str:
    return "".join(
        "\ufffd" if unicodedata.category(char) in _HIDDEN else char
        for char in text[: chars_max * 2].replace("\n", " ").replace("\t", " ")
    )


def _short(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + ELLIPSIS


def title_of(alert: Alert) -> str:
    """Return the one line that a phone shows."""
    return neutral(f"{alert.severity.upper()}: {alert.title}", TITLE_CHARS_MAX)


def body_of(alert: Alert, note: str = "", link: str = "") -> str:
    """Return what a person needs in order to act, and where to look further.

    `note` and `link` are ours, not of an event.
    """
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
    if note:
        lines.append(f"Note: {note}")
    if alert.why:
        lines.append(f"Why it matters: {neutral(alert.why, WHY_CHARS_MAX)}")
    lines += _runbook_lines(alert)
    lines.append(f"Look: audit show {_shown_by(alert)}")
    if search := _search_of(alert):
        lines.append(f"Search: {search}")
    tail = f"Link: {link}\nAlert: {alert.alert_id}" if link else f"Alert: {alert.alert_id}"
    body = "\n".join(lines)
    room = BODY_CHARS_MAX - len(tail) - 1
    return f"{body if len(body) <= room else body[: room - 1] + ELLIPSIS}\n{tail}"


def _runbook_lines(alert: Alert) -> list[str]:
    """Return the runbook line by line, as its commands are pasted: a `*` in them stays one.

    The rule's own links stay too; one that came with a value of the event is dead.
    """
    values = (alert.user, alert.resource, alert.ip_address, alert.session_id)

    def kill(link: re.Match[str]) -> str:
        is_foreign = any(link[0].lower() in value.lower() for value in values)
        return link[0].replace(":", "\uff1a", 1) if is_foreign else link[0]

    steps: list[str] = []
    for line in alert.runbook.split("\n")[:RUNBOOK_LINES_MAX]:
        said = _MENTION.sub("\\1\uff20", _WHOLE_LINK.sub(kill, _visible(line, RUNBOOK_LINE_MAX)))
        if step := _short(said.translate(_LIKES_BUT_STAR).strip(), RUNBOOK_LINE_MAX):
            steps.append(step)
    return [f"Do: {steps[0]}"] if len(steps) == 1 else ["Do:", *steps] if steps else []


def _shown_by(alert: Alert) -> str:
    """Return an id that `audit show` takes when pasted: the event's, else the alert's."""
    first = next(iter(alert.event_ids), "")
    return first if _SAFE_ID.fullmatch(first) else alert.alert_id


def _search_of(alert: Alert) -> str:
    """Return the command that finds what else they did; only of values that need no quotes."""
    for option, value in (
        ("session", alert.session_id),
        ("user", alert.user),
        ("ip", alert.ip_address),
    ):
        if _SAFE_VALUE.fullmatch(value):
            return f"audit search --{option} {value}"
    return ""


def digest_title(alerts: Sequence[Alert]) -> str:
    """Return the one line of a message about several: how many, and how bad the worst is."""
    worst = max((alert.severity for alert in alerts), key=SEVERITIES.index)
    return neutral(f"{worst.upper()}: {len(alerts)} alerts", TITLE_CHARS_MAX)


def digest_body(alerts: Sequence[Alert], reason: str, link: str = "") -> str:
    """Return counts by rule, the worst and most frequent first, each with an example."""
    kinds: dict[tuple[str, str], list[Alert]] = {}
    for alert in alerts:
        kinds.setdefault((alert.severity, alert.rule_id), []).append(alert)
    ranked = sorted(
        kinds.values(), key=lambda ones: (-SEVERITIES.index(ones[0].severity), -len(ones))
    )
    lines = [f"{DIGEST_REASONS.get(reason, 'Held back')}, {len(alerts)} alerts in all:"]
    for ones in ranked[:DIGEST_LINES_MAX]:
        who = {alert.user for alert in ones if alert.user}
        by = f" by {neutral(min(who))}" if len(who) == 1 else f" by {len(who)} users" if who else ""
        example = ones[-1]
        lines.append(
            f"{len(ones)} x {neutral(f'{example.severity.upper()}: {example.title}', 100)}{by}, "
            f"such as {example.alert_id}"
        )
    if len(ranked) > DIGEST_LINES_MAX:
        more = sum(len(ones) for ones in ranked[DIGEST_LINES_MAX:])
        lines.append(f"{more} of {len(ranked) - DIGEST_LINES_MAX} further rules")
    lines.append("Look: audit alerts list")
    tail = f"\nLink: {link}" if link else ""
    return _short("\n".join(lines), BODY_CHARS_MAX - len(tail)) + tail


def line_of(alert: Alert) -> str:
    """Return the alert as one line for a terminal or a log."""
    who = f" · {neutral(alert.user)}" if alert.user else ""
    where = f" from {neutral(alert.ip_address)}" if alert.ip_address else ""
    what = f" · {neutral(alert.summary, 256)}" if alert.summary else ""
    return f"{title_of(alert)}{who}{where}{what} · {alert.alert_id}"
