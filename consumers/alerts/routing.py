"""Who hears of an alert, and when: the first fitting route for each target decides. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, time, tzinfo
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from consumers.alerts.quiet import Digest, QuietHours, digest_ms
from consumers.alerts.schedule import DIGEST, ESCALATION, QUIET, THROTTLED
from consumers.alerts.throttle import Rate, Throttle
from schemas.alert import Alert, Severity

ALL: Final = "all"  # as a target: every one of AUDIT_ALERT_TARGETS


@dataclass(frozen=True, slots=True)
class Match:
    """What a route takes: all of what is given must fit; patterns have `*`. Empty: any."""

    severities: frozenset[Severity] = frozenset()
    tags: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def fits(self, alert: Alert) -> bool:
        """Say whether the alert is one of these."""
        if self.severities and alert.severity not in self.severities:
            return False
        if self.tags and not any(_fits(tag, self.tags) for tag in alert.tags):
            return False
        if self.tenants and not _fits(alert.tenant, self.tenants):
            return False
        return not self.rules or _fits(alert.rule_id, self.rules)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom to tell next if nobody has acknowledged it by then."""

    after_ms: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of who hears what."""

    name: str
    targets: tuple[str, ...]
    match: Match = field(default_factory=Match)
    quiet: QuietHours | None = None
    digest: Digest | None = None
    digest_at: time = time(8)
    zone: tzinfo = UTC
    escalation: Escalation | None = None
    rule_rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """All routes, and how often rules may page and targets be paged where nothing else is said."""

    routes: tuple[Route, ...]
    rule_rate: Rate = field(default_factory=Rate)
    target_rate: Rate = field(default_factory=Rate)
    target_rates: dict[str, Rate] = field(default_factory=dict)


class Errand(NamedTuple):
    """One target to tell: at `at_ms`, held back for `reason` until then, or at once for ""."""

    target: str
    at_ms: int
    reason: str


def everyone(targets: Sequence[str]) -> Routing:
    """Return the routing of who has no file: every target hears all, at once."""
    return Routing((Route(ALL, tuple(targets)),))


def errands(alert: Alert, routing: Routing, throttle: Throttle, now_ms: int) -> list[Errand]:
    """Return whom to tell of an alert and when, each target once. Empty: no route fits.

    What is held for a digest or through quiet hours costs no token: it goes with others.
    """
    found: dict[str, Errand] = {}
    later: dict[str, Errand] = {}
    for route in routing.routes:
        if not route.match.fits(alert):
            continue
        at_ms, reason = _held(alert, route, now_ms)
        for target in route.targets:
            if target in found:
                continue
            when_ms, why = at_ms, reason
            if not reason:
                rates = (
                    (("rule", alert.rule_id, target), route.rule_rate or routing.rule_rate),
                    (("target", target), routing.target_rates.get(target, routing.target_rate)),
                )
                when_ms = _free_ms(rates, throttle, now_ms)
                why = THROTTLED if when_ms > now_ms else ""
            found[target] = Errand(target, when_ms, why)
        if route.escalation is not None:
            due_ms = at_ms + route.escalation.after_ms
            for target in route.escalation.targets:
                later.setdefault(target, Errand(target, due_ms, ESCALATION))
    return [*found.values(), *(e for name, e in later.items() if name not in found)]


def _free_ms(rates: Sequence[tuple[tuple[str, ...], Rate]], throttle: Throttle, now_ms: int) -> int:
    """Return when all of them allow it. Whom the first makes wait costs the others nothing."""
    for key, rate in rates:
        when_ms = throttle.take(key, rate, now_ms)
        if when_ms > now_ms:
            return when_ms
    return now_ms


def _held(alert: Alert, route: Route, now_ms: int) -> tuple[int, str]:
    at_ms, reason = now_ms, ""
    if route.digest is not None:
        at_ms, reason = digest_ms(route.digest, route.digest_at, route.zone, now_ms), DIGEST
    if route.quiet is not None:
        quiet_ms = route.quiet.ends_ms(alert.severity, now_ms)
        if quiet_ms > at_ms:
            at_ms, reason = quiet_ms, QUIET
    return at_ms, reason


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
