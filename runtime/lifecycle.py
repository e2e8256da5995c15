"""How a service begins and ends: signals, bounded stops, and never outliving its parent."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any, Final

from runtime.log import event
from runtime.processes import die_with_parent
from schemas.errors import AuditError, Misconfigured

PARENT_FD: Final = "AUDIT_PARENT_FD"  # the inherited pipe whose end means the parent is gone
STOP_TIMEOUT_S: Final = 8.0  # leaves the supervisor 2 s of its 10
EXIT_FAILED: Final = 1
EXIT_MISCONFIGURED: Final = 2
EXIT_INTERRUPTED: Final = 130
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# One wish may come twice: a parent's end is told by the system and by its pipe, Ctrl-C by the
# terminal and by the supervisor.
SAME_WISH_S: Final = 0.5

logger = logging.getLogger(__name__)


def follow_parent(parent_fd: int | None, stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
    """End this process when its parent is gone: in order, and after `stop_timeout_s` at once.

    `parent_fd` is what AUDIT_PARENT_FD says; None, for a service that runs alone, does nothing.
    On Linux the system tells too, in case the parent's pipe was inherited by somebody else.
    """
    if parent_fd is None:
        return
    die_with_parent(signal.SIGTERM)
    watcher = threading.Thread(
        target=_end_at_eof, args=(parent_fd, stop_timeout_s), name="parent", daemon=True
    )
    watcher.start()


def _end_at_eof(parent_fd: int, stop_timeout_s: float) -> None:
    with contextlib.suppress(OSError):
        while os.read(parent_fd, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_timeout_s)
    os._exit(EXIT_FAILED)


async def run_until_stopped(
    work: Coroutine[Any, Any, None], *, stop_timeout_s: float = STOP_TIMEOUT_S
) -> None:
    """Run `work` until it ends or SIGINT or SIGTERM comes, which cancels it.

    Its `finally` blocks are the orderly stop. When they take longer than `stop_timeout_s`, or
    another signal comes more than `SAME_WISH_S` after the first, the process exits at once: what
    was not acknowledged is replayed.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    told_s: float | None = None

    def on_signal() -> None:
        nonlocal told_s
        if told_s is None:
            told_s = loop.time()
            task.cancel()
            loop.call_later(stop_timeout_s, os._exit, EXIT_FAILED)
        elif loop.time() - told_s > SAME_WISH_S:
            os._exit(EXIT_INTERRUPTED)

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await task
    except asyncio.CancelledError:
        if told_s is None:
            raise
    finally:
        if told_s is None:  # once a stop has begun its bound holds to the very end
            for number in SIGNALS:
                loop.remove_signal_handler(number)


def run_service(work: Coroutine[Any, Any, None]) -> int:
    """Run a service's main coroutine to its end; return the exit code.

    0 stopped; 2 misconfigured; 1 anything else, and the parent starts it again.
    """
    try:
        asyncio.run(run_until_stopped(work))
    except Misconfigured as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_MISCONFIGURED
    except AuditError as error:
        event(logger, "stopped by an error", level=logging.ERROR, error=error)
        return EXIT_FAILED
    return 0
