"""Makes sure that what was read is of the topic whose incarnation the records will name.

Clients read topics by name. When the topic is deleted and made again under its name, a fetch may
bring offsets of the new one, and records of them under the old incarnation would look like
repeats downstream and be dropped. Topic ids never come back: if the broker, asked after a fetch,
still names the old id, then the fetch was of the old topic.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from runtime.retry import Backoff, retry_unavailable
from runtime.topics import TopicSeen, check_partitions
from schemas.errors import Broken, BrokerUnavailable, Misconfigured

log = logging.getLogger(__name__)

WATCH_PERIOD_S: Final = 1.0
BACKOFF: Final = Backoff(0.1, 1.0)

Look = Callable[[Sequence[str]], Awaitable[Mapping[str, TopicSeen]]]


class SourceGuard:
    """Confirms again and again that `source` is still `incarnation`, and fits into `records`."""

    def __init__(
        self,
        source: str,
        records: str,
        incarnation: str,
        look: Look,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._records = records
        self._incarnation = incarnation
        self._look = look
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._asked_at = float("-inf")
        self._is_missed = False

    async def confirm(self) -> None:
        """Return once the broker, asked after this call began, named the same topic.

        Callers at the same time share a request. Waits while the broker or the topic is away.
        Raises `Broken` when the topic was made anew, or grew beyond `records`.
        """
        called_at = self._monotonic()
        async with self._lock:
            if self._asked_at > called_at:
                return
            asked_at = self._monotonic()
            await retry_unavailable(
                self._ask, backoff=BACKOFF, deadline_s=None, on_retry=self._tell
            )
            self._asked_at, self._is_missed = asked_at, False

    async def watch(self) -> None:
        """Confirm every second for ever. Raises what `confirm` raises."""
        while True:
            await self.confirm()
            await asyncio.sleep(WATCH_PERIOD_S)

    async def _ask(self) -> None:
        seen = await self._look((self._source, self._records))
        for name in (self._source, self._records):
            if name not in seen:
                raise BrokerUnavailable(f"there is no topic {name}")
        found = seen[self._source].topic_id
        if found != self._incarnation:
            raise Broken(
                f"{self._source} was made anew: it is {found} and was {self._incarnation};"
                " the worker begins again with the new one"
            )
        try:
            check_partitions(seen, self._source, self._records)
        except Misconfigured as error:  # a start under `audit up` cures it; else it refuses
            raise Broken(str(error)) from error

    def _tell(self, error: Exception, _wait_s: float) -> None:
        if not self._is_missed:
            self._is_missed = True
            log.warning("nothing is delivered until %s is confirmed: %s", self._source, error)
