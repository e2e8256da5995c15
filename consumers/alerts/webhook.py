"""A webhook of our own: JSON signed with HMAC-SHA256, over a connection that is kept.

The signature covers the time and the body, so that nobody can alter a message or send an old one
again: `Audit-Stream-Signature: t=<unix seconds>,v1=<hex of HMAC-SHA256(secret, "t.body")>`.
"""

import hashlib
import hmac
import http.client
import ssl
import threading
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult

import orjson
from pydantic import SecretStr

from consumers.alerts.message import Message, fields_of
from runtime.clock import Clock, SystemClock
from schemas.errors import TargetUnavailable

SIGNATURE: Final = "Audit-Stream-Signature"
SCHEMES: Final = frozenset({"webhook", "webhooks"})  # over http and over https
TIMEOUT_S: Final = 8.0  # for connecting, and for each wait for the answer
ANSWER_BYTES_MAX: Final = 65_536  # of an answer, to keep the connection; after more it is closed
PARALLEL: Final = 4
LISTED_MAX: Final = 100  # alerts of a message, whole; more make another one
SUCCESS: Final = 2  # hundreds


def sign(secret: str, body: bytes, now_s: int) -> str:
    """Return the signature's header for a body sent at that time."""
    signed = hmac.new(secret.encode(), b"%d." % now_s + body, hashlib.sha256)
    return f"t={now_s},v1={signed.hexdigest()}"


def body_of_webhook(message: Message) -> bytes:
    """Return the JSON: the texts as people read them, the alerts as they are."""
    return orjson.dumps(
        {
            "version": 1,
            "key": message.key,
            "kind": message.kind,
            "severity": message.severity,
            "title": message.title,
            "text": message.body,
            "link": message.link or None,
            "count": len(message.alerts),
            "alerts": [
                {
                    **fields_of(alert),
                    "title": alert.title,
                    "summary": alert.summary,
                    "why": alert.why,
                    "group": alert.group,
                    "tags": list(alert.tags),
                    "session_id": alert.session_id,
                    "event_ids": list(alert.event_ids),
                    "event_count": alert.event_count,
                }
                for alert in message.alerts
            ],
        }
    )


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that takes our JSON; any answer of 200 to 299 says that it has it."""

    name: str
    secret: SecretStr = field(repr=False)
    _url: SplitResult = field(repr=False)
    clock: Clock = field(default_factory=SystemClock, repr=False)
    pace_s: float = 0.0
    parallel: int = PARALLEL
    digest_max: int = LISTED_MAX
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def send(self, message: Message) -> None:
        """Deliver once, as `Target.send`. `Idempotency-Key` is the same when it comes again."""
        body = body_of_webhook(message)
        now_s = self.clock.now_ms() // 1000
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "audit-stream",
            "Idempotency-Key": message.key,
            SIGNATURE: sign(self.secret.get_secret_value(), body, now_s),
        }
        kept: http.client.HTTPConnection | None = getattr(self._local, "kept", None)
        try:
            status = self._post(kept or self._connect(), body, headers)
        except (OSError, http.client.HTTPException) as error:
            if kept is None or isinstance(error, TimeoutError):
                raise TargetUnavailable(f"{self.name}: not reached") from None
            status = self._again(body, headers)  # they closed what we kept, as anybody may
        if status // 100 != SUCCESS:
            raise TargetUnavailable(f"{self.name}: answered {status}")

    def _again(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            return self._post(self._connect(), body, headers)
        except (OSError, http.client.HTTPException):
            raise TargetUnavailable(f"{self.name}: not reached") from None

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "webhooks":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                host, self._url.port, timeout=TIMEOUT_S, context=context
            )
        return http.client.HTTPConnection(host, self._url.port, timeout=TIMEOUT_S)

    def _post(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> int:
        """Return the status; keep the connection if it can be used again."""
        self._local.kept = None
        path = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        is_kept = False
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            rest = answer.read(ANSWER_BYTES_MAX)
            is_kept = not answer.will_close and (answer.isclosed() or not rest)
            return answer.status
        finally:
            if is_kept:
                self._local.kept = connection
            else:
                connection.close()
