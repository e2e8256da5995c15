"""What the console counts of those who come: logins by how they ended, and what was refused."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter

from console.web.problems import KINDS

LoginEnd = Literal["success", "failed", "too_often", "forbidden"]


class ConsoleMetrics:
    """Counters; without a registry they count for nobody."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._logins: Final = Counter(
            "audit_console_logins",
            "Logins to the console by how they ended: success, failed, too_often, forbidden.",
            ["end"],
            registry=registry,
        )
        self._refused: Final = Counter(
            "audit_console_refused",
            "Requests that the gate refused, by kind of problem: unauthorized, cross_site, busy.",
            ["kind"],
            registry=registry,
        )

    def login(self, end: LoginEnd) -> None:
        """Count a login."""
        self._logins.labels(end).inc()

    def refused(self, kind: str) -> None:
        """Count what the gate refused."""
        self._refused.labels(kind if kind in KINDS else "other").inc()
