"""Takes changed rules over while the pipeline runs, and says when it can't."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cli.detecting import Detecting, RuleWatch, lint_command, refusal_alert
from detections.stateful.alerts import to_rfc3339
from pipeline.emit import Emitter
from pipeline.run import OutAlert
from runtime.clock import SystemClock
from runtime.health import Readiness
from runtime.log import event
from schemas.errors import Unavailable
from schemas.topics import ALERTS

log: Final = logging.getLogger("audit.rules")
RULES: Final = "rules"
PERIOD_S: Final = 1.0


class RuleMetrics(Collector):
    """What is known of the rules at work, for Prometheus."""

    def __init__(self, registry: CollectorRegistry, watch: RuleWatch) -> None:
        self._watch = watch
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        watch, ruleset = self._watch, self._watch.current.ruleset
        loaded = GaugeMetricFamily(
            "audit_rules_loaded", "Rules at work, by what they are.", labels=["kind"]
        )
        loaded.add_metric(["event"], len(ruleset.rules))
        loaded.add_metric(["correlation"], len(ruleset.correlations))
        loaded.add_metric(["behaviour"], len(ruleset.behaviours))
        loaded.add_metric(["exception"], len(ruleset.exceptions))
        yield loaded
        yield GaugeMetricFamily(
            "audit_rules_refused", "Rules that are not at work.", value=len(watch.refused)
        )
        yield CounterMetricFamily(
            "audit_rules_reloads", "Changes of rules taken over.", value=watch.reloads_total
        )
        yield CounterMetricFamily(
            "audit_rules_refusals", "Changes of rules refused.", value=watch.refused_total
        )
        yield from self._engine()

    def _engine(self) -> Iterator[Metric]:
        """Yield what the engine did with the rules at work; it counts anew after each change."""
        counts = self._watch.current.detector.counts()
        yield CounterMetricFamily(
            "audit_rules_events",
            "Events looked at since the rules were taken over; one with a foreign record twice.",
            value=counts.events,
        )
        yield CounterMetricFamily(
            "audit_rules_candidates",
            "Rules tried since then: per event, how well the index sorts out.",
            value=counts.candidates,
        )
        yield GaugeMetricFamily(
            "audit_rules_always",
            "Rules that no index can sort out: tried for each event of their log.",
            value=counts.always,
        )
        yield GaugeMetricFamily(
            "audit_rules_predicates",
            "Different conditions of all rules; one that several share counts once.",
            value=counts.predicates,
        )


async def reload_rules(
    watch: RuleWatch,
    users: Sequence[Callable[[Detecting], None]],
    readiness: Readiness,
    make_emitter: Callable[[], Emitter],
) -> None:
    """Compile what changed aside, and hand it out between two runs, for ever."""
    told: tuple[str, ...] = ()
    while True:
        fresh = await asyncio.to_thread(watch.refresh)
        if fresh is not None:
            for use in users:  # nothing suspends in here: all of them are between two runs
                use(fresh)
            event(log, "rules taken over", version=fresh.version, rules=len(fresh.ruleset.rules))
        if watch.refused in ((), watch.current.refusals):
            readiness.meet(RULES)  # what was refused from the start keeps nothing from working
        else:
            missing = f"{len(watch.refused)} new rules are refused; the old ones go on"
            readiness.miss(
                RULES, missing, f"`{lint_command(watch.dirs)}` names them; mend the files"
            )
        if watch.refused not in ((), told) and await _tell(watch, make_emitter):
            told = watch.refused
        await asyncio.sleep(PERIOD_S)


async def _tell(watch: RuleWatch, make_emitter: Callable[[], Emitter]) -> bool:
    """Raise an alert; return whether the broker has it."""
    alert = refusal_alert(watch.refused, to_rfc3339(SystemClock().now_ms()), watch.dirs)
    emitter = make_emitter()
    try:
        await emitter.start()
        said = OutAlert(alert.alert_id.encode(), alert.model_dump_json().encode())
        await emitter.send_keyed(ALERTS, [said])
    except Unavailable as error:
        event(log, "the alert on refused rules waits", level=logging.WARNING, error=error)
        return False
    finally:
        await emitter.stop()
    return True
