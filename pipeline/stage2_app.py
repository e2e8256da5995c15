"""The worker of stage 2: a Faust app of its own, so that neither stage waits for the other."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types import TP

from pipeline.agents import Progress, RunSchema
from pipeline.app import WorkerSettings, build_app, exit_code, place_of, run_app
from pipeline.desks import Correlator, Desks
from pipeline.emit import BrokerAddress
from pipeline.guard import SourceGuard
from pipeline.journal import Journal, JournalPlace
from pipeline.stage2 import Book
from schemas.topics import ALERTS, SIGNALS, STATE

RUN_RECORDS_MAX: Final = 2_000  # some 50 ms in which nothing else in the process runs
# A run costs a transaction, some ten requests: signals gather before it, for as long at most.
GATHER_BYTES: Final = 262_144
GATHER_MS: Final = 60


@dataclass(frozen=True, slots=True)
class Stage2Routes:
    """The topics of stage 2."""

    signals: str = SIGNALS
    state: str = STATE
    alerts: str = ALERTS


class Stage2Worker:
    """Applies signals to the books of the partitions that the group gives us."""

    def __init__(
        self,
        settings: WorkerSettings,
        make_book: Callable[[int], Book],
        *,
        routes: Stage2Routes | None = None,
        guards: Iterable[SourceGuard] = (),
    ) -> None:
        self._settings = replace(settings, fetch_bytes_min=GATHER_BYTES, fetch_wait_ms=GATHER_MS)
        self._make_book = make_book
        self._routes = routes or Stage2Routes()
        self._guards = tuple(guards)
        self._app: faust.App | None = None
        self.progress: Final = Progress()
        self.desks: Final = Desks(self._journal, make_book, self._generation)

    async def serve(self, stop: asyncio.Event) -> int:
        """Work until `stop` is set or something crashes; return the exit code."""
        app = self._app = build_app(self._settings)
        app.conf.broker_max_poll_records = RUN_RECORDS_MAX
        self.progress.watch(partial(place_of, app))
        app.run_topics.add(self._routes.signals)
        correlator = Correlator(app, self.desks, self.progress)
        topic = app.topic(self._routes.signals, schema=RunSchema())
        app.agent(topic, name=f"correlate-{self._routes.signals}", concurrency=1)(correlator.carry)
        app.on_partitions_assigned.connect(self._assigned)
        try:
            await run_app(app, stop, [guard.watch() for guard in self._guards])
        finally:
            await self.desks.close()
        return exit_code(app)

    async def _assigned(self, _app: object, assigned: Iterable[TP], **_: object) -> None:
        self.desks.begin(tp.partition for tp in assigned if tp.topic == self._routes.signals)

    def _generation(self) -> int:
        return 0 if self._app is None else int(self._app.consumer_generation_id)

    def _journal(self, partition: int) -> Journal:
        settings, routes = self._settings, self._routes
        security = credentials_to_aiokafka_auth(settings.credentials, settings.ssl_context)
        address = BrokerAddress(settings.bootstrap, dict(security))
        place = JournalPlace(
            address,
            settings.group,
            routes.state,
            routes.alerts,
            routes.signals,
            settings.compression,
        )
        return Journal(place, partition)
