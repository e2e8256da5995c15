"""The reconciler: the ledger as metrics, and as a reason not to be ready."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

from consumers.sink import ledger as books
from runtime.clickhouse import Store
from runtime.health import Readiness
from runtime.log import event as log_event
from runtime.topics import ClientOptions
from schemas.errors import Misconfigured, Unavailable
from schemas.ledger import Ledger, PartitionLedger
from schemas.tables import EVENTS, QUARANTINE

_LOG: Final = logging.getLogger(__name__)
CONDITION: Final = "ledger"
OFFSETS_PER_ROUND_MAX: Final = 500_000  # bounds what one search for duplicates holds in memory


class Range(NamedTuple):
    """Raw offsets from `low` up to but not including `high`, of one partition."""

    incarnation: str
    topic: str
    partition: int
    low: int
    high: int


class ReconcileMetrics:
    """The ledger in numbers, summed over partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all."""
        self._gauges = {
            name: Gauge(f"audit_ledger_{name}_records", text, registry=registry)
            for name, text in (
                ("received", "Events on the raw topic."),
                ("stored", "Rows in events."),
                ("quarantined", "Rows in quarantine that no replay has cured."),
                ("difference", "Must be 0: positive is a loss, negative a duplicate."),
                ("lag", "Events that the sink has not accounted for yet."),
            )
        }
        self.duplicates = Counter(
            "audit_ledger_duplicates_total", "Rows found twice by coordinates.", registry=registry
        )
        self.failures = Counter(
            "audit_ledger_failures_total", "Rounds that got no answer.", registry=registry
        )

    def show(self, found: Ledger) -> None:
        """Export one ledger."""
        for name, gauge in self._gauges.items():
            gauge.set(getattr(found, name))


class Reconciler:
    """Compares again and again; never changes anything."""

    def __init__(  # noqa: PLR0913 - each is a neighbour or a bound
        self,
        store: Store,
        bootstrap: str,
        topic: str,
        *,
        registry: CollectorRegistry,
        readiness: Readiness,
        period_s: float,
        client_options: ClientOptions | None = None,
    ) -> None:
        """`readiness` must know the condition "ledger"."""
        self._store = store
        self._bootstrap = bootstrap
        self._topic = topic
        self._metrics = ReconcileMetrics(registry)
        self._readiness = readiness
        self._period_s = period_s
        self._options = client_options
        self._verified: dict[books.Key, int] = {}
        self._duplicates = 0

    async def run(self) -> None:
        """Reconcile for ever; cancel it to end."""
        while True:
            await self.round()
            await asyncio.sleep(self._period_s)

    async def round(self) -> Ledger | None:
        """Compare once; None if Kafka or the store did not answer."""
        try:
            found = await books.ledger(
                self._store, self._bootstrap, self._topic, client_options=self._options
            )
            for part in found.partitions:
                await self._search_duplicates(part.incarnation, part.partition, _next(part))
        except (Unavailable, Misconfigured) as error:
            self._metrics.failures.inc()
            self._readiness.miss(CONDITION, str(error), "see the dependency that it names")
            return None
        self._metrics.show(found)
        self._judge(found)
        return found

    async def _search_duplicates(self, incarnation: str, partition: int, high: int) -> None:
        """Look through the offsets since the last round, a bounded number of them."""
        key = (incarnation, self._topic, partition)
        low = self._verified.get(key, 0)
        top = min(high, low + OFFSETS_PER_ROUND_MAX)
        if top <= low:
            return
        where = Range(*key, low, top)
        found = await asyncio.to_thread(duplicates, self._store, where)
        self._verified[key] = top
        self._duplicates += found
        self._metrics.duplicates.inc(found)

    def _judge(self, found: Ledger) -> None:
        wrong = [part for part in found.partitions if part.difference or part.lag < 0]
        if not wrong and not self._duplicates:
            self._readiness.meet(CONDITION)
            return
        told = ", ".join(
            f"partition {part.partition}: difference {part.difference}, lag {part.lag}"
            for part in wrong
        )
        why = told or f"{self._duplicates} rows stand twice"
        self._readiness.miss(CONDITION, why, "run `audit ledger`, and docs/invariants.md 5")
        log_event(_LOG, "the ledger does not balance", level=logging.ERROR, why=why)


def duplicates(store: Store, where: Range) -> int:
    """Count the rows beyond the first with the same coordinates, over both tables."""
    ask: Callable[[str, str], str] = lambda table, own: (  # noqa: E731 - one expression, used twice
        f"SELECT count() - uniqExact(offset) FROM {table} "
        "WHERE incarnation = {incarnation:String} AND topic = {topic:String} "
        "AND partition = {partition:UInt16} AND offset >= {low:UInt64} AND offset < {high:UInt64} "
        f"{own}"
    )
    parameters = where._asdict()
    questions = (ask(EVENTS, ""), ask(QUARANTINE, ""))
    return sum(int(store.query_rows(question, parameters)[0][0]) for question in questions)


def _next(part: PartitionLedger) -> int:
    """Return the raw offset up to which the partition's events are accounted for, at least."""
    return max(0, part.received - part.lag)
