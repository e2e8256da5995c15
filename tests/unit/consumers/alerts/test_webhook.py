"""Our own webhook: the signature, the connection that is kept, and what counts as taken."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from consumers.alerts.message import Message, message_of
from consumers.alerts.schedule import THROTTLED, Due
from consumers.alerts.targets import parse_targets
from consumers.alerts.webhook import body_of_webhook, sign
from schemas.errors import Misconfigured, TargetUnavailable
from tests.unit.consumers.alerts.making import NOW_MS, make

MESSAGE: Message = message_of([Due(make("a"), "x", 1, NOW_MS, NOW_MS)])


class Server:
    def __init__(self) -> None:
        self.status, self.ports, self.closes, self.paths = 204, list[int](), False, list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.ports.append(self.client_address[1])
                outer.paths.append(self.path)
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()
                if outer.closes:  # without a word, as a proxy does after a while
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"webhook://127.0.0.1:{self.http.server_port}/a/b?c=d"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def target(url: str) -> Any:
    (made,) = parse_targets([SecretStr(f"hook={url}")], SecretStr("whisper"))
    return made


def test_the_signature_covers_time_and_body() -> None:
    body = b'{"a":1}'
    wanted = hmac.new(b"whisper", b'1760263200.{"a":1}', hashlib.sha256).hexdigest()
    assert sign("whisper", body, 1_760_263_200) == f"t=1760263200,v1={wanted}"
    assert sign("whisper", body, 1) != sign("whisper", body + b" ", 1)
    assert sign("other", body, 1) != sign("whisper", body, 1)


def test_the_same_message_has_the_same_bytes() -> None:
    assert body_of_webhook(MESSAGE) == body_of_webhook(MESSAGE)


def test_a_digest_holds_all_its_alerts_the_worst_first() -> None:
    dues = [
        Due(make(str(n), severity=severity), "x", 1, NOW_MS, NOW_MS, THROTTLED)
        for n, severity in enumerate(["low", "high"] * 75 + ["critical"])
    ]
    message = message_of(dues)
    sent = orjson.loads(body_of_webhook(message))
    told = [alert["alert_id"] for alert in sent["alerts"]]
    assert sorted(told) == sorted(due.alert.alert_id for due in dues)
    assert [alert["severity"] for alert in sent["alerts"][:2]] == ["critical", "high"]
    assert message.severity == "critical"
    assert message.fields()["alert_ids"].split() == told


def test_a_message_to_a_webhook_holds_no_more_than_are_listed() -> None:
    assert target("webhook://127.0.0.1:9/x").digest_max == 100


def test_a_connection_is_kept_and_made_anew_when_it_was_closed(server: Server) -> None:
    hook = target(server.url)
    hook.send(MESSAGE)
    hook.send(MESSAGE)
    assert len(set(server.ports)) == 1
    server.closes = True
    hook.send(MESSAGE)
    hook.send(MESSAGE)
    assert len(server.ports) == 4
    assert len(set(server.ports)) > 1
    assert set(server.paths) == {"/a/b?c=d"}


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500])
def test_any_other_answer_than_yes_is_a_no(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(TargetUnavailable) as caught:
        target(server.url).send(MESSAGE)
    assert str(caught.value) == f"hook: answered {status}"


def test_nobody_there_is_told_without_the_address() -> None:
    with pytest.raises(TargetUnavailable) as caught:
        target("webhook://127.0.0.1:9/secret-path").send(MESSAGE)
    assert str(caught.value) == "hook: not reached"
    assert caught.value.__cause__ is None


def test_without_a_secret_there_is_no_webhook() -> None:
    with pytest.raises(Misconfigured, match="no secret to sign with"):
        parse_targets([SecretStr("webhooks://host/x")])


@pytest.mark.parametrize(
    "url", ["webhooks://", "webhooks://user:secret@host/", "webhook://h:99999/"]
)
def test_an_address_that_is_none_is_refused_without_it(url: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        target(url)
    assert "secret@" not in str(caught.value)


def test_neither_address_nor_secret_is_in_any_representation() -> None:
    shown = repr(target("webhooks://host/hidden-path")) + str(target("webhooks://host/hidden-path"))
    assert "hidden-path" not in shown
    assert "whisper" not in shown
