"""Turns: how many batches are cut and not yet stored, over all partitions of a sink."""

import asyncio


class Turn:
    """One writer's: taken before it cuts a batch, given back once that is stored or fails.

    While a writer waits for its turn its backlog grows, still compressed: under load batches
    become larger by themselves, and few stand in memory opened.
    """

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self.is_ours = False

    async def begin(self) -> None:
        """Wait for a turn; the one who waits longest is next."""
        if not self.is_ours:
            await self._turns.acquire()
            self.is_ours = True

    def end(self) -> None:
        """Let the next one have it. Idempotent."""
        if self.is_ours:
            self.is_ours = False
            self._turns.release()
