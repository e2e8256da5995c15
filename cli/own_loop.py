"""Work on a thread and event loop of its own, so that it waits for no other part's callbacks."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


async def run_in_own_loop(work: Work, stop: asyncio.Event) -> None:
    """Run `work` there until it ends; it is given an event that is set when `stop` is.

    Raises what it raised. Cancelled, it tells the work to stop and waits for it: a thread can't be
    cancelled, so the work must end within a bound of its own.
    """
    loop = asyncio.get_running_loop()
    begun: asyncio.Future[Callable[[], None]] = loop.create_future()

    async def inside() -> None:
        theirs, inner = asyncio.Event(), asyncio.get_running_loop()

        def end() -> None:
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                inner.call_soon_threadsafe(theirs.set)

        loop.call_soon_threadsafe(begun.set_result, end)
        await work(theirs)

    thread = ThreadPoolExecutor(1, thread_name_prefix="audit-loop")
    working: asyncio.Future[Any] = loop.run_in_executor(thread, asyncio.run, inside())
    stopping: asyncio.Future[Any] = asyncio.create_task(stop.wait())
    try:
        await asyncio.shield(begun)
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not working.done():
            (await asyncio.shield(begun))()
        thread.shutdown(wait=False)
        await asyncio.shield(working)
