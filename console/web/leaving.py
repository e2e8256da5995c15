"""A reader who leaves: what they asked for is stopped at once, down to the store's query."""

import asyncio
from typing import Final

from console.web.shield import App, Message, Receive, Scope, Send

_READS: Final = frozenset({"GET", "HEAD"})
_GONE: Final = "http.disconnect"


class UntilGone:
    """Wraps the application: a request to read is cancelled when its client goes away.

    What changes something goes on to its end: half of a change is worse than one unseen.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; without a client there is nothing to answer."""
        if scope["type"] != "http" or scope["method"] not in _READS:
            await self._app(scope, receive, send)
            return
        heard: asyncio.Queue[Message] = asyncio.Queue()
        answering = asyncio.create_task(_run(self._app, scope, heard, send))
        listening = asyncio.create_task(_listen(receive, heard))
        try:
            await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_over = answering.done()
            for task in (answering, listening):
                task.cancel()
            await asyncio.wait({answering, listening})
        if is_over:
            answering.result()
        elif not listening.cancelled():
            listening.result()


async def _run(app: App, scope: Scope, heard: asyncio.Queue[Message], send: Send) -> None:
    await app(scope, heard.get, send)


async def _listen(receive: Receive, heard: asyncio.Queue[Message]) -> None:
    """Pass on what comes, until the client goes away. Raises as `receive` does."""
    while True:
        message = await receive()
        heard.put_nowait(message)
        if message["type"] == _GONE:
            return
