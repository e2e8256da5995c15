"""The text of an alert: complete, plain, bounded, whatever was in the event."""

import re

import pytest
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
        "Search: audit search session:sess_1",
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


@pytest.mark.parametrize(
    "text",
    [
        "x@everyone",
        "jane.@HERE now",
        "a.@channel",
        "ms-word:ofe",
        "see vscode:open",
        "mailto:a@b.example",
        "slack://open",
        "1s3://bucket",
        "éhttps://evil.example",
        "www.evil.example",
        "WWW.evil.example",
        "evil.example/x",
        "jane@evil.example/x",
        "evil.example:8080/x",
        "//evil.example./x",
    ],
)
def test_whatever_a_program_would_link_or_call_is_dead_and_reads_the_same(text: str) -> None:
    shown = neutral(text)
    likes = str.maketrans({"\uff20": "@", "\uff1a": ":", "\u2024": "."})
    assert shown != text
    assert shown.translate(likes) == text
    for live in ("@everyone", "@here", "@channel", "://", "word:", "vscode:", "mailto:"):
        assert live not in shown.lower()
    assert "www." not in shown.lower()
    assert not re.search(r"example\.?(:\d+)?/", shown) or ".example" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "jane@company.com",
        "2001:db8::1",
        "fe80::1",
        "2025-10-12T10:00:00Z",
        "HIGH: Admin login failed",
        "203.0.113.0/24",
        "authentication.login.failed",
        "report.csv",
    ],
)
def test_what_nobody_would_link_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text


@pytest.mark.parametrize("value", ["https://evil.example/\ue000", "x\u200bhttps://evil.example/x"])
@pytest.mark.parametrize("template", ["Ask {}.", "Open {},", "audit search --user {};"])
def test_link_in_the_runbook_is_dead_however_its_value_was_changed(
    value: str, template: str
) -> None:
    body = body_of(make(user=value, runbook=template.format(value)))
    assert "https:" not in body
    assert "evil.example/" not in body


@pytest.mark.parametrize("value", ["www.evil.example", "evil.example/x", "ftp", "x@everyone"])
def test_value_in_the_runbook_that_is_no_whole_link_is_dead_as_well(value: str) -> None:
    body = body_of(make(user=value, runbook=f"audit search --user {value}\n{value}://evil/x"))
    assert "www." not in body
    assert ".example/" not in body
    assert "ftp:" not in body
    assert "@everyone" not in body


def test_links_of_the_rule_stay_alive() -> None:
    body = body_of(make(runbook="See https://wiki.company.com/login or wiki.company.com/x."))
    assert "See https://wiki.company.com/login or wiki.company.com/x." in body


@pytest.mark.parametrize("value", ["https://evil.example/x", "www.evil.example", "a@everyone"])
def test_commands_hold_no_value_that_is_a_link_or_calls(value: str) -> None:
    body = body_of(make(event_ids=(value,), session_id=value, user=value, runbook=""))
    assert f"Look: audit show {ID}\n" in body
    assert value not in body


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
