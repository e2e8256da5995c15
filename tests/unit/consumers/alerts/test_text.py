"""The text of an alert: complete, plain, bounded, whatever was in the event."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.text import (
    BODY_CHARS_MAX,
    TITLE_CHARS_MAX,
    body_of,
    line_of,
    neutral,
    title_of,
)
from schemas.alert import Alert, alert_id

ID = alert_id("r", 1, "g", "e")


def make(**fields: object) -> Alert:
    return Alert.model_validate(
        {
            "alert_id": ID,
            "rule_id": "admin-login-failed",
            "rule_version": 2,
            "title": "Admin login failed",
            "severity": "high",
            "tenant": "default",
            "group": "g",
            "summary": "admin@company.com failed to log in",
            "runbook": "Ask the person: https://wiki.company.com/login",
            "user": "admin@company.com",
            "action": "authentication.login.failed",
            "resource": "console",
            "ip_address": "203.0.113.42",
            "session_id": "sess_1",
            "event_ids": ("ev-1", "ev-2"),
            "event_count": 2,
            "occurred": "2025-10-12T10:00:00Z",
            "recorded": "2025-10-12T10:00:00.250Z",
        }
        | fields
    )


def test_a_person_reads_what_who_where_why_and_what_to_do() -> None:
    assert title_of(make()) == "HIGH: Admin login failed"
    assert body_of(make()).split("\n") == [
        "admin@company.com failed to log in",
        "Who: admin@company.com",
        "From: 203.0.113.42",
        "What: authentication.login.failed",
        "On: console",
        "Session: sess_1",
        "When: 2025-10-12T10:00:00Z",
        "Tenant: default",
        "Rule: admin-login-failed v2",
        "Events: 2",
        "Do: Ask the person: https://wiki.company.com/login",
        "Look: audit show ev-1",
        "Search: audit search --session sess_1",
        f"Alert: {ID}",
    ]


@given(text=st.text(max_size=600))
def test_any_text_becomes_plain_bounded_and_stays_so(text: str) -> None:
    plain = neutral(text)
    assert len(plain) <= 256
    assert plain.replace("\ufffd", "").isprintable() or all(
        char.isprintable() or char.isspace() for char in plain
    )
    assert not set(plain) & set("<>&`*~|[]\\\n\r\t\x1b\x00\u202e")
    assert neutral(plain) == plain


@given(text=st.text(max_size=256))
def test_any_alert_fits_and_ends_with_its_id(text: str) -> None:
    alert = make(title=text, summary=text * 4, user=text, resource=text * 8, runbook=text * 8)
    assert len(title_of(alert)) <= TITLE_CHARS_MAX
    body = body_of(alert)
    assert len(body) <= BODY_CHARS_MAX
    assert body.endswith(ID)
    assert "\n" not in line_of(alert)


def test_links_and_mentions_of_an_event_are_dead() -> None:
    shown = neutral("see HTTPS://evil.example and @channel, or jane@company.com")
    assert "HTTPS:" not in shown
    assert "@channel" not in shown
    assert "jane@company.com" in shown


def test_commands_of_the_runbook_work_when_pasted() -> None:
    command = "audit search --user 'o'\"'\"'hara' --action 'data.export.*' --since 30d"
    body = body_of(make(runbook=f"Exports of this user: {command}\nIf nobody asked: end it."))
    assert f"Do:\nExports of this user: {command}\nIf nobody asked: end it.\n" in body


def test_values_in_the_runbook_neither_link_nor_mention() -> None:
    user = "https://evil.example/x"
    body = body_of(make(user=user, runbook=f"audit search --user {user} --ip @everyone <!here>"))
    assert "https:" not in body
    assert "@everyone" not in body
    assert "<" not in body


def test_event_whose_id_a_shell_would_misread_is_looked_up_by_the_alert() -> None:
    assert f"Look: audit show {ID}\n" in body_of(make(event_ids=("a;reboot",)))
