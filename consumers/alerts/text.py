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
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/=+-]{0,127}")  # as it is for any shell
_SAFE_VALUE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+:-]{0,127}")
# What programs make a link of. A word and a colon only if something follows at once (`HIGH: …` is
# none), and not the groups of an IPv6 address.
_KNOWN: Final = "https?|ftp|javascript|data|file|mailto|tel"
_AUTHORITY: Final = re.compile(r"(?i)([a-z0-9]*):(?=//)")
_SCHEME: Final = re.compile(
    rf"(?i)(?<![a-z0-9])({_KNOWN}|(?![0-9a-f]{{1,4}}:)[a-z][a-z0-9+.-]*(?=:\S)):"
)
_KNOWN_SCHEME: Final = re.compile(rf"(?i)({_KNOWN}):")
_HOST: Final = re.compile(
    r"(?i)(?<![\w-])(?:[\w-]+\.)+[^\W\d_]{2,63}(?=\.?(?:[:\uff1a]\d+)?/)|(?<!\w)www\.(?=\S)"
)
_MENTION: Final = re.compile(r"(^|[^\w.])@(?=\w)")
# These call everybody wherever they stand; nobody's address is worth that.
_EVERYBODY: Final = re.compile(r"(?i)@(?=everyone|here|channel|all\b|room\b)")


def neutral(text: str, chars_max: int = VALUE_CHARS_MAX) -> str:
    """Return the text on one line, without control characters and markup, of bounded length.

    Total. Idempotent. Addresses such as jane@company.com stay as they are.
    """
    said = _SCHEME.sub("\\1\uff1a", _AUTHORITY.sub("\\1\uff1a", plain(text, chars_max)))
    return plain(_unmentioned(_HOST.sub(_undotted, said)), chars_max)


def plain(text: str, chars_max: int) -> str:
    """Return the text as `neutral` does, but with its links."""
    return _short(_visible(text, chars_max).translate(_LIKES).strip(), chars_max)


def _undotted(host: re.Match[str]) -> str:
    return host[0].replace(".", "\u2024")


def _unmentioned(text: str) -> str:
    return _EVERYBODY.sub("\uff20", _MENTION.sub("\\1\uff20", text))


def _bare(text: str) -> str:
    """Return what is left of a value, however the pipeline and `_visible` have changed it."""
    return "".join(
        char
        for char in text.lower()
        if not char.isspace() and char != "\ufffd" and unicodedata.category(char) not in _HIDDEN
    )


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

    The rule's own links stay too, unless a value of the event holds their scheme or host: of
    these each may have come with it.
    """
    values = [
        _bare(one) for one in (alert.user, alert.resource, alert.ip_address, alert.session_id)
    ]

    def is_foreign(text: str) -> bool:
        return any(_bare(text) in value for value in values)

    def kill(scheme: re.Match[str]) -> str:
        return f"{scheme[1]}{chr(0xFF1A) if is_foreign(scheme[1]) else ':'}"

    def undot(host: re.Match[str]) -> str:
        return _undotted(host) if is_foreign(host[0]) else host[0]

    steps: list[str] = []
    for line in alert.runbook.split("\n")[:RUNBOOK_LINES_MAX]:
        said = _KNOWN_SCHEME.sub(kill, _AUTHORITY.sub(kill, _visible(line, RUNBOOK_LINE_MAX)))
        said = _unmentioned(_HOST.sub(undot, said))
        if step := _short(said.translate(_LIKES_BUT_STAR).strip(), RUNBOOK_LINE_MAX):
            steps.append(step)
    return [f"Do: {steps[0]}"] if len(steps) == 1 else ["Do:", *steps] if steps else []


def _shown_by(alert: Alert) -> str:
    """Return an id that `audit show` takes when pasted: the event's, else the alert's."""
    first = next(iter(alert.event_ids), "")
    return first if _SAFE_ID.fullmatch(first) and neutral(first) == first else alert.alert_id


def _search_of(alert: Alert) -> str:
    """Return the command that finds what else they did; only of values that need no quotes.

    What stands after `audit search` is a query, which the search page takes as well.
    """
    for field, value in (
        ("session", alert.session_id),
        ("user", alert.user),
        ("ip", alert.ip_address),
    ):
        if _SAFE_VALUE.fullmatch(value) and neutral(value) == value:
            return f"audit search {field}:{value}"
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
