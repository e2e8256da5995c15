"""What the sink counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from consumers.sink.batch import Batch

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class SinkMetrics:
    """One set for a sink; every name has its unit."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all."""
        self._rows = Counter(
            "audit_sink_rows_total", "Rows written, by table.", ["table"], registry=registry
        )
        self._bytes = Counter(
            "audit_sink_written_bytes_total", "Bytes of records written.", registry=registry
        )
        self._batches = Counter("audit_sink_batches_total", "Batches written.", registry=registry)
        self._seconds = Histogram(
            "audit_sink_write_seconds",
            "From the first try of a batch until the store confirmed it.",
            buckets=SECONDS,
            registry=registry,
        )
        self.repeats = Counter(
            "audit_sink_repeats_total", "Records skipped as stored before.", registry=registry
        )
        self.replayed = Counter(
            "audit_sink_replayed_total", "Announced batches taken up again.", registry=registry
        )
        self.looks = Counter(
            "audit_sink_looks_total", "Times the store was asked for a batch.", registry=registry
        )
        self.late = Counter(
            "audit_sink_late_total", "Inserts refused by the server as too late.", registry=registry
        )
        self.fenced = Counter(
            "audit_sink_fenced_total", "Partitions lost while at work on them.", registry=registry
        )
        self.retries = Counter(
            "audit_sink_retries_total", "Tries that failed, by error.", ["error"], registry=registry
        )
        self.stopped = Gauge(
            "audit_sink_stopped_partitions",
            "1 where a partition stopped on a contradiction: page someone.",
            ["partition"],
            registry=registry,
        )
        self.backlog = Gauge(
            "audit_sink_backlog_bytes", "Records held in memory, all partitions.", registry=registry
        )
        self.held_back = Counter(
            "audit_sink_held_back_total",
            "Polls that left out a partition because it holds its share of the memory.",
            registry=registry,
        )

    def wrote(self, batch: Batch, seconds: float) -> None:
        """Count one confirmed batch."""
        self._rows.labels("events").inc(len(batch.accepted))
        self._rows.labels("quarantine").inc(len(batch.rejected))
        self._bytes.inc(batch.bytes_)
        self._batches.inc()
        self._seconds.observe(seconds)
        self.repeats.inc(batch.repeats)
