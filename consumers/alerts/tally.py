"""What alert delivery counts, as Prometheus metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.alerts.schedule import Attempt

LATENCY_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0, 60.0, 3600.0)


class Tally:
    """The counts of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stored = Counter("audit_alerts_stored", "Alerts stored.", registry=registry)
        self.repeated = Counter(
            "audit_alerts_repeated", "Alerts that were in the store already.", registry=registry
        )
        self._untold = Counter(
            "audit_alerts_untold",
            "Alerts stored that nobody is told of, by reason.",
            ("reason",),
            registry=registry,
        )
        self.unreadable = Counter(
            "audit_alerts_unreadable", "Records that are no alert; skipped.", registry=registry
        )
        self._attempts = Counter(
            "audit_alerts_attempts",
            "Attempts to deliver, by target and outcome.",
            ("target", "outcome"),
            registry=registry,
        )
        self._latency = Histogram(
            "audit_alerts_delivery_seconds",
            "From the broker's time of the event to the target's yes.",
            ("target",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._pending = Gauge(
            "audit_alerts_pending", "Alerts not delivered yet.", ("target",), registry=registry
        )

    def count(self, attempt: Attempt, age_s: float) -> None:
        """Count one attempt that ended when its event was `age_s` old."""
        # what was held and then refused stays deferred in the store; a failed attempt it is
        outcome = "failed" if attempt.outcome == "deferred" else attempt.outcome
        self._attempts.labels(attempt.target, outcome).inc()
        if attempt.outcome == "delivered":
            self._latency.labels(attempt.target).observe(max(0.0, age_s))

    def untold(self, reason: str, count: int) -> None:
        """Count alerts that nobody is told of."""
        self._untold.labels(reason).inc(count)

    def pending(self, target: str, count: int) -> None:
        """Show how many wait for a target."""
        self._pending.labels(target).set(count)
