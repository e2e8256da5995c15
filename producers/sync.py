"""The publisher for code without asyncio: the same one, on a loop in a thread of its own."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from producers.dispatcher import Counters
from producers.lane import Outcome, Receipt
from producers.publisher import Publisher
from schemas.errors import Misconfigured
from schemas.event import Event

T = TypeVar("T")
_JOIN_S: Final = 5.0


class SyncPublisher:
    """As `Publisher`, from any thread; takes the same options. Make one after each fork."""

    def __init__(self, bootstrap: str, **options: Any) -> None:  # noqa: ANN401 - Publisher's own
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="audit-publisher", daemon=True
        )
        self._is_closed = False
        self._thread.start()
        try:
            self._publisher = self._run(lambda: _made(bootstrap, options))
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def counters(self) -> Counters:
        """What became of events so far."""
        return self._publisher.counters

    def publish(
        self,
        event: Event | Mapping[str, Any],
        *,
        must_log: bool = True,
        deadline_s: float | None = None,
    ) -> Receipt | None:
        """As `Publisher.publish` promises."""
        return self._run(
            lambda: self._publisher.publish(event, must_log=must_log, deadline_s=deadline_s)
        )

    def publish_many(
        self, events: Iterable[Event | Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """As `Publisher.publish_many` promises; `events` is read in the publisher's thread."""
        return self._run(lambda: self._publisher.publish_many(events, deadline_s=deadline_s))

    def publish_many_bytes(
        self, messages: Iterable[tuple[bytes, bytes | None]], *, deadline_s: float | None = None
    ) -> list[Outcome]:
        """As `Publisher.publish_many_bytes` promises."""
        return self._run(
            lambda: self._publisher.publish_many_bytes(messages, deadline_s=deadline_s)
        )

    def close(self, timeout_s: float = 10.0) -> None:
        """As `Publisher.close` promises. In a forked child it does nothing."""
        if self._is_closed or os.getpid() != self._pid:
            return
        try:
            self._run(lambda: self._publisher.close(timeout_s))
        finally:
            self._is_closed = True
            self._end()

    def _run(self, call: Callable[[], Awaitable[T]]) -> T:
        if os.getpid() != self._pid:
            raise Misconfigured("the publisher was made before a fork: make one in each process")
        if self._is_closed:
            raise Misconfigured("the publisher is closed")

        async def run() -> T:
            return await call()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _made(bootstrap: str, options: dict[str, Any]) -> Publisher:
    return Publisher(bootstrap, **options)
