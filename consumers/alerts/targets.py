"""Where alerts go: any service that apprise knows, behind one adapter that owns it."""

import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.plugins import url_to_dict
from pydantic import SecretStr

from consumers.alerts.message import Message
from consumers.alerts.webhook import SCHEMES, Webhook
from schemas.alert import Severity
from schemas.errors import Misconfigured, TargetUnavailable

# A send can't be interrupted: together they bound how long a stop may have to wait for one.
CONNECT_S_MAX: Final = 3.0
READ_S_MAX: Final = 5.0
# Some services ask for a pause between messages, apprise's own default is 5.5 s; a page must not
# wait so long behind others. Who is still too fast for a service is refused and tries again.
PACE_S_MAX: Final = 1.2
DIGEST_MAX: Final = 1_000  # alerts in one message; more make another
PARALLEL_MAX: Final = 4  # to a target that asks for no pause, such as a webhook
NAMED: Final = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})=([A-Za-z][A-Za-z0-9+.-]*://.*)", re.DOTALL
)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,31})://")
# Those whose message is an object of ours: they get the fields beside the text.
_OBJECTS: Final = frozenset({"json", "jsons", "form", "forms", "xml", "xmls"})
_TYPES: Final[dict[Severity, NotifyType]] = {
    "info": NotifyType.INFO,
    "low": NotifyType.INFO,
    "medium": NotifyType.WARNING,
    "high": NotifyType.FAILURE,
    "critical": NotifyType.FAILURE,
}


class Target(Protocol):
    """One place to deliver to. Its name is shown everywhere, its URL, being a secret, nowhere.

    `pace_s` is the pause that the service asks for; with one there is one delivery at a time.
    All alerts of a message are told of: one that can't be is left for the next message.
    """

    @property
    def name(self) -> str:
        """How people call it."""
        ...

    @property
    def pace_s(self) -> float:
        """The pause after each delivery."""
        ...

    @property
    def parallel(self) -> int:
        """How many deliveries may be under way at once."""
        ...

    @property
    def digest_max(self) -> int:
        """How many alerts one message may hold."""
        ...

    def send(self, message: Message) -> None:
        """Deliver once; blocks for a bounded time. Raises `TargetUnavailable` if not taken.

        The message's key goes with it, so that a receiver can drop what it has seen: a delivery
        whose answer was lost comes again.
        """
        ...


@dataclass(frozen=True, slots=True)
class AppriseTarget:
    """A service that apprise knows."""

    name: str
    pace_s: float
    _parsed: dict[str, Any] = field(repr=False)

    @property
    def parallel(self) -> int:
        """How many deliveries may be under way at once."""
        return 1 if self.pace_s else PARALLEL_MAX

    @property
    def digest_max(self) -> int:
        """How many alerts one message counts."""
        return DIGEST_MAX

    def send(self, message: Message) -> None:
        """Deliver once; blocks for at most connect and read timeout for each request it takes."""
        # made anew each time: apprise's objects are not for several threads at once
        client = Apprise(asset=_asset())
        client.add(_instance(self._parsed, message.fields()))
        taken = client.notify(
            body=message.body,
            title=message.title,
            notify_type=_TYPES[message.severity],
            body_format=NotifyFormat.TEXT,
        )
        if not taken:
            raise TargetUnavailable(f"{self.name}: refused or not reached")


def parse_targets(urls: Sequence[SecretStr], secret: SecretStr | None = None) -> tuple[Target, ...]:
    """Read targets written as `url` or `name=url`; `secret` signs what goes to webhooks.

    Raises `Misconfigured` naming the target by its place and kind, never by its URL.
    """
    silence()
    targets: list[Target] = []
    for place, given in enumerate(urls, 1):
        text = given.get_secret_value().strip()
        named = NAMED.fullmatch(text)
        name, url = (named[1], named[2]) if named else ("", text)
        scheme = _SCHEME.match(url)
        kind = scheme[1].lower() if scheme else "unknown"
        targets.append(parse_target(name or f"target-{place}:{kind}", url, secret))
    refuse_twins(targets)
    return tuple(targets)


def refuse_twins(targets: Sequence[Target]) -> None:
    """Raise `Misconfigured` if two targets have one name."""
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise Misconfigured(f"two alert targets are named {name}: give each its own name")


def silence() -> None:
    """Keep libraries from logging URLs: a webhook's path is its password. Outcomes are ours."""
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).disabled = True


def parse_target(name: str, url: str, secret: SecretStr | None = None) -> Target:
    """Read one target. Raises `Misconfigured` naming it, never its URL."""
    scheme = url.split("://", 1)[0].lower()
    return _webhook(name, url, secret) if scheme in SCHEMES else _apprise(name, url)


def _webhook(name: str, url: str, secret: SecretStr | None) -> Target:
    if secret is None or not secret.get_secret_value():
        raise Misconfigured(
            f"alert target {name} is a webhook, and there is no secret to sign with: set "
            "AUDIT_ALERT_WEBHOOK_SECRET_FILE, or secret_file in the routes file"
        )
    try:
        parsed = urlsplit(url)
        _ = parsed.port
    except ValueError:
        parsed = urlsplit("")
    if not parsed.hostname or parsed.username is not None:
        raise Misconfigured(
            f"alert target {name} is not a webhook's address: write webhooks://host/path"
        )
    return Webhook(name, secret, parsed)


def _apprise(name: str, url: str) -> Target:
    with warnings.catch_warnings():  # apprise's plugins import what Python deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        parsed = url_to_dict(url, secure_logging=True)
        instance = _instance(parsed, {}) if parsed else None
    if parsed is None or instance is None:
        raise Misconfigured(
            f"alert target {name} is not a URL that apprise {version('apprise')} understands: "
            "see its list of services for the form"
        )
    return AppriseTarget(name, float(instance.request_rate_per_sec), parsed)


def _instance(parsed: dict[str, Any], fields: dict[str, str]) -> Any:  # noqa: ANN401 - a plugin
    asked = dict(parsed)
    if asked.get("schema") in _OBJECTS:
        asked["payload"] = {**(asked.get("payload") or {}), **fields}
    instance = Apprise.instantiate(asked, asset=_asset())
    if instance is not None:
        instance.socket_connect_timeout = min(instance.socket_connect_timeout, CONNECT_S_MAX)
        instance.socket_read_timeout = min(instance.socket_read_timeout, READ_S_MAX)
        instance.request_rate_per_sec = min(instance.request_rate_per_sec, PACE_S_MAX)
    return instance


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="AuditStream", app_desc="Audit Stream", async_mode=False, secure_logging=True
    )
