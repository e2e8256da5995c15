"""What an event held never acts on who reads of it: each kind of target, as apprise sends it."""

import email
import email.policy
import json
import smtplib
from html import unescape
from types import MappingProxyType
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from consumers.alerts.message import message_of
from consumers.alerts.schedule import THROTTLED, Due
from consumers.alerts.targets import parse_targets
from schemas.alert import Alert
from tests.unit.consumers.alerts.making import NOW_MS, make

NASTY = (
    "\x1b[31m<script>alert(1)</script><!channel> <@U123> @everyone @here \u202e"
    "[click](https://evil.example/x) <https://evil.example|safe> *bold* `code` ~gone~ &lt;b&gt;\r\n"
    "Bcc: victim@evil.example\r\n\r\n<img src=x onerror=1>"
)
ACTS = ("<script", "<img", "<!channel", "<@U123", "@everyone", "@here", "](http", "<http", "\x1b")

TARGETS = {
    "slack": "slack://AAAAAAAAA/BBBBBBBBB/CCCCCCCCCCCCCCCCCCCCCCCC/#ops",
    "slack-blocks": "slack://AAAAAAAAA/BBBBBBBBB/CCCCCCCCCCCCCCCCCCCCCCCC/#ops?blocks=yes",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?format=markdown",
    "teams": "workflow://host.example/643a027ba8a6/gVyhhSNpxyAiXYkxyfFIcFOvNn0eIHcr",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
    "telegram-html": "tgram://123456789:abcdefg_hijklmnop/12315544/?format=html",
    "pagerduty": "pagerduty://integrationkeyAAAAAAAAAAAAAAAAAA@apikeyAAAAAAAAAAAAAAAAAA",
    "json": "json://host.example/x",
    "mattermost": "mmost://host.example/3ccdd113474722377935511fc85d3dd4",
}
MAIL = {
    "mail-html": "mailto://user:pass@mail.example?to=a@b.example&format=html",
    "mail-text": "mailto://user:pass@mail.example?to=a@b.example&format=text",
}


def nasty(name: str = "a") -> Alert:
    return make(
        name,
        title=NASTY[:200],
        summary=NASTY,
        why=NASTY,
        user=NASTY,
        resource=NASTY,
        action=NASTY,
        ip_address=NASTY,
        session_id=NASTY,
        tenant=NASTY,
        runbook=NASTY,
        event_ids=(NASTY,),
        rule_id=NASTY[:128],
    )


def due(alert: Alert, reason: str = "") -> Due:
    return Due(alert, "x", 1, NOW_MS, NOW_MS, reason)


MESSAGES = {
    "alert": message_of([due(nasty())], "https://audit.example/alerts/{id}"),
    "digest": message_of([due(nasty("a"), THROTTLED), due(nasty("b"), THROTTLED)]),
}


def texts_of(value: Any) -> list[str]:
    """Return all texts for people in what was sent; programs' fields are not among them."""
    if isinstance(value, dict):
        programs = {"user", "ip_address", "action", "resource", "tenant", "rule_id"}
        return [t for key, one in value.items() if key not in programs for t in texts_of(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in texts_of(one)]
    return [value] if isinstance(value, str) else []


class Answer:
    status_code = 200
    content = b'{"ok": true, "status": "success"}'
    text = "ok"
    headers = MappingProxyType({"content-type": "application/json"})

    def json(self) -> dict[str, Any]:
        return {"ok": True}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def request(*args: Any, **kwargs: Any) -> Answer:
        for name in ("data", "json"):
            body = kwargs.get(name)
            if isinstance(body, str | bytes):
                body = json.loads(body)
            found.extend(texts_of(body))
        answer = Answer()
        if "slack" in str(args):
            answer.content = b"ok"
        return answer

    for name in ("post", "put", "request"):
        monkeypatch.setattr(requests, name, request)
    return found


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("kind", TARGETS)
def test_nothing_that_a_service_would_act_on_is_sent(
    kind: str, message: str, sent: list[str]
) -> None:
    (target,) = parse_targets([SecretStr(f"x={TARGETS[kind]}")])
    target.send(MESSAGES[message])
    assert any("High" in text or "HIGH" in text for text in sent), "something was sent"
    for text in sent:
        for act in ACTS:
            assert act not in text
            assert act not in unescape(text) or "&" in text  # an escaped one is only shown


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("kind", MAIL)
def test_mail_has_no_header_nor_element_of_an_event(
    kind: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mails: list[str] = []

    class Server:
        def __init__(self, *_: Any, **__: Any) -> None:
            """Take any address."""

        def sendmail(self, _sender: str, to: list[str], text: str) -> None:
            assert to == ["a@b.example"]
            mails.append(text)

        def __getattr__(self, _name: str) -> Any:
            return lambda *_args, **_kwargs: None

    monkeypatch.setattr(smtplib, "SMTP", Server)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Server)
    (target,) = parse_targets([SecretStr(f"x={MAIL[kind]}")])
    target.send(MESSAGES[message])
    (text,) = mails
    mail = email.message_from_string(text, policy=email.policy.default)
    assert mail["Bcc"] is None
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            body = part.get_content()
            assert "<script" not in body
            assert "<img" not in body
            assert 'href="https://evil' not in body


def test_the_text_says_what_who_why_what_to_do_and_where_to_look() -> None:
    one = make(
        "a",
        user="jane@company.com",
        ip_address="203.0.113.9",
        why="An administrator's account opens every door.",
        runbook="Ask Jane.",
        session_id="sess_1",
    )
    body = message_of([due(one)], "https://audit.example/alerts/{id}").body
    for line in (
        "Who: jane@company.com",
        "From: 203.0.113.9",
        "Why it matters: An administrator's account opens every door.",
        "Do: Ask Jane.",
        "Search: audit search session:sess_1",
        f"Link: https://audit.example/alerts/{one.alert_id}",
    ):
        assert line in body.splitlines()
