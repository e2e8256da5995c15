"""What stage 2 counts, for Prometheus."""

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from detections.stateful.memory import NEVER
from pipeline.agents import Progress
from pipeline.desks import Desks
from pipeline.stage2 import Rules


class Stage2Metrics(Collector):
    """Reads the counts when it is asked, so that the hot path only adds integers."""

    def __init__(
        self,
        registry: CollectorRegistry,
        rules: Rules,
        progress: Progress,
        desks: Desks,
        now_ms: Callable[[], int],
    ) -> None:
        self._rules = rules
        self._progress = progress
        self._desks = desks
        self._now_ms = now_ms
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._counts()
        yield from self._groups()
        lag = GaugeMetricFamily(
            "audit_stage2_lag_records",
            "Signals that are on the broker and not yet applied.",
            labels=["partition"],
        )
        for (_topic, partition), behind in self._progress.lags().items():
            lag.add_metric([str(partition)], behind)
        yield lag
        loads = GaugeMetricFamily(
            "audit_stage2_journal_load_seconds",
            "How long the takeover of a partition took.",
            labels=["partition"],
        )
        for partition, load_s in self._desks.load_s.items():
            loads.add_metric([str(partition)], load_s)
        yield loads
        yield GaugeMetricFamily(
            "audit_stage2_journals_loading",
            "Partitions whose journal is being read.",
            value=len(self._desks.loading()),
        )

    def _counts(self) -> Iterator[Metric]:
        tally = self._rules.tally
        plain = (
            ("signals", "Signals applied, repeats included.", tally.signals),
            ("malformed", "Messages or states that could not be read.", tally.malformed),
            ("bugs", "Signals that met a bug of ours and were left out.", tally.bugs),
            ("alerts", "Alerts raised, repeats included.", tally.alerts),
            ("expired", "Groups dropped because nothing can touch them any more.", tally.expired),
            ("fenced", "Writes that another owner's takeover fenced.", self._desks.fenced_total),
            ("runs", "Runs written and acknowledged.", self._progress.runs_total),
        )
        for name, about, value in plain:
            yield CounterMetricFamily(f"audit_stage2_{name}", about, value=value)
        entries = CounterMetricFamily(
            "audit_stage2_entries",
            "What signals told, by what became of it: taken, repeat, late, future, unknown, "
            "thinned.",
            labels=["outcome"],
        )
        for outcome, count in self._rules.entries().items():
            entries.add_metric([outcome], count)
        yield entries
        shed = CounterMetricFamily(
            "audit_stage2_shed", "Groups given up for room, by rule.", labels=["rule"]
        )
        for rule, count in tally.shed.items():
            shed.add_metric([rule], count)
        yield shed

    def _groups(self) -> Iterator[Metric]:
        groups = GaugeMetricFamily("audit_stage2_groups", "Groups in memory.", labels=["rule"])
        behind = GaugeMetricFamily(
            "audit_stage2_watermark_lag_seconds",
            "How long ago the time was up to which everything has been seen.",
            labels=["partition"],
        )
        sizes: Counter[str] = Counter()
        for partition, book in self._desks.books().items():
            for rule, count in book.groups.sizes().items():
                sizes[rule.decode("utf-8", "replace")] += count
            if book.watermark_ms != NEVER:
                lag_s = (self._now_ms() - book.watermark_ms) / 1000
                behind.add_metric([str(partition)], lag_s)
        for name, count in sizes.items():
            groups.add_metric([name], count)
        yield groups
        yield behind
