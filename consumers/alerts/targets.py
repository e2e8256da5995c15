"""Where alerts go: any service that apprise knows, behind one adapter that owns it."""

import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.plugins import url_to_dict
from pydantic import SecretStr

from consumers.alerts.text import body_of, title_of
from schemas.alert import Alert, Severity
from schemas.errors import Misconfigured, TargetUnavailable

# A send can't be interrupted: together they bound how long a stop may have to wait for one.
CONNECT_S_MAX: Final = 3.0
READ_S_MAX: Final = 5.0
# Some services ask for a pause between messages, apprise's own default is 5.5 s; a page must not
# wait so long behind others. Who is still too fast for a service is refused and tries again.
PACE_S_MAX: Final = 1.2
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


@dataclass(frozen=True, slots=True)
class Target:
    """One place to deliver to. Its name is shown everywhere, its URL, being a secret, nowhere.

    `pace_s` is the pause that the service asks for; with one there is one delivery at a time.
    """

    name: str
    pace_s: float
    _parsed: dict[str, Any] = field(repr=False)

    @property
    def parallel(self) -> int:
        """How many deliveries may be under way at once."""
        return 1 if self.pace_s else PARALLEL_MAX

    def send(self, alert: Alert) -> None:
        """Deliver once; blocks for at most connect and read timeout for each request it takes.

        Raises `TargetUnavailable` if the service did not take it. The alert's id goes with it, so
        that a receiver can drop what it has seen: a delivery whose answer was lost comes again.
        """
        # made anew each time: apprise's objects are not for several threads at once
        client = Apprise(asset=_asset())
        client.add(_instance(self._parsed, _fields(alert)))
        taken = client.notify(
            body=body_of(alert),
            title=title_of(alert),
            notify_type=_TYPES[alert.severity],
            body_format=NotifyFormat.TEXT,
        )
        if not taken:
            raise TargetUnavailable(f"{self.name}: refused or not reached")


def parse_targets(urls: Sequence[SecretStr]) -> tuple[Target, ...]:
    """Read targets written as `url` or `name=url`.

    Raises `Misconfigured` naming the target by its place and kind, never by its URL.
    """
    silence()
    targets: list[Target] = []
    for place, secret in enumerate(urls, 1):
        text = secret.get_secret_value().strip()
        named = NAMED.fullmatch(text)
        name, url = (named[1], named[2]) if named else ("", text)
        scheme = _SCHEME.match(url)
        kind = scheme[1].lower() if scheme else "unknown"
        targets.append(_target(name or f"target-{place}:{kind}", url))
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise Misconfigured(f"two alert targets are named {name}: give each its own name")
    return tuple(targets)


def silence() -> None:
    """Keep libraries from logging URLs: a webhook's path is its password. Outcomes are ours."""
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).disabled = True


def _target(name: str, url: str) -> Target:
    with warnings.catch_warnings():  # apprise's plugins import what Python deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        parsed = url_to_dict(url, secure_logging=True)
        instance = _instance(parsed, {}) if parsed else None
    if parsed is None or instance is None:
        raise Misconfigured(
            f"alert target {name} is not a URL that apprise {version('apprise')} understands: "
            "see its list of services for the form"
        )
    return Target(name, float(instance.request_rate_per_sec), parsed)


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


def _fields(alert: Alert) -> dict[str, str]:
    """Return what programs read: values as they are, JSON or XML being escaped by the plugin."""
    return {
        "alert_id": alert.alert_id,
        "rule_id": alert.rule_id,
        "severity": alert.severity,
        "tenant": alert.tenant,
        "user": alert.user,
        "ip_address": alert.ip_address,
        "action": alert.action,
        "resource": alert.resource,
        "occurred": alert.occurred,
        "recorded": alert.recorded,
    }


def _asset() -> AppriseAsset:
    return AppriseAsset(
        app_id="AuditStream", app_desc="Audit Stream", async_mode=False, secure_logging=True
    )
