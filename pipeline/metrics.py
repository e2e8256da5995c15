"""What stage 1 counts, for Prometheus."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.agents import Progress
from pipeline.stage import Tally


class PipelineMetrics(Collector):
    """Reads the counts when it is asked, so that the hot path only adds integers."""

    def __init__(self, registry: CollectorRegistry, tally: Tally, progress: Progress) -> None:
        self._tally = tally
        self._progress = progress
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        tally, progress = self._tally, self._progress
        records = CounterMetricFamily(
            "audit_pipeline_records", "Raw messages judged.", labels=["outcome"]
        )
        records.add_metric(["accepted"], tally.accepted)
        records.add_metric(["rejected"], tally.rejected)
        yield records
        yield CounterMetricFamily(
            "audit_pipeline_bugs",
            "Events that met a bug of ours and are in quarantine as pipeline:bug.",
            value=tally.bugs,
        )
        yield CounterMetricFamily(
            "audit_pipeline_alerts", "Alerts raised, repeats included.", value=tally.alerts
        )
        yield CounterMetricFamily(
            "audit_pipeline_runs", "Runs delivered and acknowledged.", value=progress.runs_total
        )
        yield CounterMetricFamily(
            "audit_pipeline_signals",
            "Messages for rules with a memory, repeats included.",
            value=tally.signals,
        )
        untold = CounterMetricFamily(
            "audit_pipeline_untold",
            "Events that rules with a memory ask for and are not told: late or future (in no "
            "window), repeat (it would tell nothing new).",
            labels=["reason"],
        )
        for reason, count in tally.untold.items():
            untold.add_metric([reason], count)
        yield untold
        hidden = CounterMetricFamily(
            "audit_pipeline_hidden", "Findings that an exception hid.", labels=["exception"]
        )
        for exception, count in tally.hidden.items():
            hidden.add_metric([exception], count)
        yield hidden
        yield CounterMetricFamily(
            "audit_pipeline_cut",
            "Findings left out, the least severe, as one event had over 16.",
            value=tally.cut,
        )
        lag = GaugeMetricFamily(
            "audit_pipeline_lag_records",
            "Raw messages that are on the broker and not yet delivered as records.",
            labels=["partition"],
        )
        for (_topic, partition), behind in progress.lags().items():
            lag.add_metric([str(partition)], behind)
        yield lag
