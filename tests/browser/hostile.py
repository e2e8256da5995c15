"""Events with what must never be more than text, in every field that takes it."""

from typing import Any, Final

from tests.browser.scene import moment

SCRIPT: Final = "<script>window.ran=1;alert(1)</script>"
HOSTILE: Final[tuple[str, ...]] = (
    SCRIPT,
    "\"'><img src=x onerror=window.ran=1;alert(2)>",
    "javascript:window.ran=1",
    "{{ 7*7 }}${7*7}<%= 7*7 %>",
    '=HYPERLINK("http://127.0.0.1:1/";"x")',
    "\u202egnp.exe\u2066\u200b\ufeff",
    "\x1b[2J\x1b[31mred\x07\x00\r\n\t",
    "a/../../b?c=d&e#f%2e%41;g\\h",
    "名前 🦊 e\u0301\u0301\u0301\u0301\u0301\u0301",
)
WORD: Final = "w" * 10_000
WHO: Final = "hostile-"  # how the users of such events begin, so that a search finds them

# field: its longest text
_FIELDS: Final = {
    "user": 256,
    "tenant": 64,
    "role": 128,
    "user_agent": 2048,
    "resource": 1024,
    "resource_id": 1024,
    "session_id": 128,
    "request_id": 128,
    "source": 128,
    "on_behalf_of": 256,
    "reason": 2048,
}
Event = dict[str, Any]


def events() -> list[Event]:
    """Return one event a hostile text, that has it everywhere, one of words, and one of 256 KiB."""
    made = [_event(n, text) for n, text in enumerate(HOSTILE)]
    made.append(_event(len(HOSTILE), WORD))
    rows = {f"field_{n}": f"value {n} {SCRIPT}" for n in range(3_600)}
    made.append({**_event(len(made), "large"), "details": rows})
    return made


def _event(number: int, text: str) -> Event:
    event: Event = {name: text[:longest] for name, longest in _FIELDS.items()}
    event |= {
        "event_id": f"hostile-{number:02}",
        "timestamp": moment(110 + number / 10),
        "user": f"{WHO}{number}-{text}"[:256],
        "tenant": "default",
        "action": "settings.retention_policy.updated",
        "ip_address": "198.51.100.99",
        "details": {
            "before": text,
            "after": [text, {text[:500]: text}],
            text[:500]: {text[:500]: text},
            "format": text,
        },
    }
    return event
