"""Keeps the services of one machine running: started at once, restarted, stopped in reverse."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from runtime.broker import EmbeddedKafka, answers
from runtime.child_log import ChildLog
from runtime.lifecycle import EXIT_MISCONFIGURED, PARENT_FD, SIGNALS
from runtime.ports import LOOPBACK
from runtime.processes import spawn
from runtime.retry import Backoff
from schemas.errors import AuditError, Misconfigured, Unavailable

STOP_TOTAL_S: Final = 10.0
RESERVED_S: Final = 1.5  # of the total, for each child that is still to be stopped
START_ATTEMPTS_MAX: Final = 3  # before the first time it was ready; afterwards without end
HEALTHY_S: Final = 60.0
POLL_S: Final = 0.1
RESTARTS: Final = Backoff(0.5, 30.0)

Announce = Callable[[str], None]


class Child(Protocol):
    """A process to keep running."""

    @property
    def name(self) -> str:
        """What the terminal calls it."""
        ...

    @property
    def ready_timeout_s(self) -> float:
        """How long it may take until it is ready."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        ...

    @property
    def exit_code(self) -> int | None:
        """How the last process ended, if it did."""
        ...

    def spawn(self) -> None:
        """Start the process, without waiting. Called on the main thread."""
        ...

    async def is_ready(self) -> bool:
        """Whether it takes work; soon answered, never raises."""
        ...

    def terminate(self) -> None:
        """Ask it to end. Idempotent."""
        ...

    def kill(self) -> None:
        """End it now. Idempotent."""
        ...

    def tail(self) -> str:
        """Return the last lines it said."""
        ...

    def tend(self) -> None:
        """Do what is due now and then, such as turning the log over."""
        ...


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A child that is a command; `is_ready` is asked until it says yes."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]
    ready_timeout_s: float = 60.0


class Command:
    """A `Child` made from a `CommandSpec`; its output goes to `<logs>/<name>.log`."""

    def __init__(self, spec: CommandSpec, logs: Path) -> None:
        self.name = spec.name
        self.ready_timeout_s = spec.ready_timeout_s
        self.log = ChildLog(logs / f"{spec.name}.log")
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None

    @property
    def is_alive(self) -> bool:
        """As `Child` promises."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As `Child` promises."""
        return self._process.poll() if self._process is not None else None

    @property
    def pid(self) -> int | None:
        """The process, while there was one."""
        return self._process.pid if self._process is not None else None

    def spawn(self) -> None:
        """As `Child` promises; the child inherits a pipe that ends with us."""
        self._drop_lifeline()
        theirs, ours = os.pipe()
        try:
            with self.log.open() as output:
                self._process = spawn(
                    self._spec.argv,
                    env={**self._spec.env, PARENT_FD: str(theirs)},
                    output=output,
                    pass_fds=(theirs,),
                    death_signal=signal.SIGTERM,
                )
        finally:
            os.close(theirs)
            self._lifeline = ours

    async def is_ready(self) -> bool:
        """As `Child` promises."""
        return await self._spec.is_ready()

    def terminate(self) -> None:
        """As `Child` promises."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """As `Child` promises."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._drop_lifeline()

    def tail(self) -> str:
        """As `Child` promises."""
        return self.log.tail()

    def tend(self) -> None:
        """Turn the log over when it is full."""
        self.log.turn_over()

    def _drop_lifeline(self) -> None:
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


class BrokerChild:
    """The embedded Kafka as a `Child`."""

    name = "kafka"
    ready_timeout_s = 60.0

    def __init__(self, broker: EmbeddedKafka) -> None:
        self.broker = broker

    @property
    def is_alive(self) -> bool:
        """As `Child` promises."""
        return self.broker.is_alive

    @property
    def exit_code(self) -> int | None:
        """As `Child` promises."""
        return self.broker.exit_code

    def spawn(self) -> None:
        """As `Child` promises; formats new storage first, which blocks for half a second."""
        self.broker.spawn()

    async def is_ready(self) -> bool:
        """As `Child` promises."""
        return await asyncio.to_thread(answers, LOOPBACK, self.broker.port)

    def terminate(self) -> None:
        """As `Child` promises."""
        self.broker.terminate()

    def kill(self) -> None:
        """As `Child` promises."""
        self.broker.kill()

    def tail(self) -> str:
        """As `Child` promises."""
        return self.broker.last_words()

    def tend(self) -> None:
        """Nothing: Kafka turns its own log over."""


@dataclass(slots=True)
class _Kept:
    """A child and how it has been doing."""

    child: Child
    first_ready: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    is_tended: bool = True


class Supervisor:
    """Runs children: all started at once, stopped one by one, the last first.

    starting → running → stopping → stopped. A child waits itself for what it needs of the others,
    as it must whenever one of them is started again. One that dies is started again after a
    growing wait; a minute of health resets it. Use it on the main thread (see
    `runtime.processes.spawn`).
    """

    def __init__(
        self,
        children: Sequence[Child],
        announce: Announce,
        *,
        restarts: Backoff = RESTARTS,
        stop_total_s: float = STOP_TOTAL_S,
        rng: Random | None = None,
    ) -> None:
        self._kept = [_Kept(child) for child in children]
        self._announce = announce
        self._restarts = restarts
        self._stop_total_s = stop_total_s
        self._rng = rng or Random()  # noqa: S311 - scatters waits, guards nothing
        self._stop = asyncio.Event()

    def request_stop(self) -> None:
        """Begin the orderly stop; asked again, kill everything at once. For signal handlers."""
        if self._stop.is_set():
            for kept in reversed(self._kept):
                kept.child.kill()
        self._stop.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Start all, keep them, and return once `request_stop` or a signal has stopped them all.

        Raises `Misconfigured` or `Unavailable` naming the child that could not be started at
        all; everything is stopped by then.
        """
        loop = asyncio.get_running_loop()
        numbers = list(SIGNALS)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
            numbers.append(signal.SIGHUP)  # the terminal was closed
        for number in numbers:
            loop.add_signal_handler(number, self.request_stop)
        keepers = [asyncio.create_task(self._keep(kept)) for kept in self._kept]
        stopped = asyncio.create_task(self._stop.wait())
        telling = asyncio.create_task(self._tell_ready(on_ready))
        tasks: list[asyncio.Task[Any]] = [stopped, telling, *keepers]
        try:
            await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
            for keeper in keepers:
                if keeper.done():
                    keeper.result()
        finally:
            self._stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop_all()
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _tell_ready(self, on_ready: Callable[[], None]) -> None:
        for kept in self._kept:
            await kept.first_ready.wait()
        await asyncio.to_thread(on_ready)  # it may ask a child something

    async def _keep(self, kept: _Kept) -> None:
        """Start the child and start it again, for ever; raises only before it was ever ready."""
        child = kept.child
        while True:
            started = time.monotonic()
            why, error = "", None
            try:
                await self._start(kept)
                kept.first_ready.set()
                while child.is_alive:
                    self._tend(kept)
                    if time.monotonic() - started > HEALTHY_S:
                        kept.failures = 0
                    await asyncio.sleep(POLL_S)
                why = f"{child.name} ended{_as_code(child.exit_code)}"
            except AuditError as fault:
                error = fault
            except OSError as fault:
                error = _as_unavailable(child, fault, "starting it")
            if error is not None:
                if not kept.first_ready.is_set() and _is_final(error, kept.failures):
                    raise error
                why = str(error)
            wait_s = self._restarts.ceiling_s(kept.failures) * self._rng.uniform(0.5, 1.0)
            kept.failures += 1
            what, _, last_words = why.partition(":\n")
            self._announce(f"{what}; starting it again in {wait_s:.1f} s")
            if last_words:
                self._announce(last_words)
            await asyncio.sleep(wait_s)

    def _tend(self, kept: _Kept) -> None:
        """Tend a child that is well; that its log can't be turned over is told once."""
        try:
            kept.child.tend()
            kept.is_tended = True
        except OSError as error:
            if kept.is_tended:
                self._announce(str(_as_unavailable(kept.child, error, "its log")))
            kept.is_tended = False

    async def _start(self, kept: _Kept) -> None:
        """Start once and wait until ready. Raises with the child's last words."""
        child = kept.child
        began = time.monotonic()
        child.kill()
        child.spawn()
        while True:
            if not child.is_alive:
                error = Misconfigured if child.exit_code == EXIT_MISCONFIGURED else Unavailable
                raise error(f"{child.name} ended{_as_code(child.exit_code)}:\n{child.tail()}")
            if await child.is_ready():
                break
            if time.monotonic() - began > child.ready_timeout_s:
                child.kill()
                raise Unavailable(
                    f"{child.name} was not ready within {child.ready_timeout_s:g} s:\n"
                    f"{child.tail()}"
                )
            await asyncio.sleep(POLL_S)
        again = " again" if kept.first_ready.is_set() else ""
        self._announce(f"{child.name} is ready{again} ({time.monotonic() - began:.1f} s)")

    async def _stop_all(self) -> None:
        deadline = time.monotonic() + self._stop_total_s
        for place, kept in reversed(list(enumerate(self._kept))):
            child = kept.child
            if not child.is_alive:
                child.kill()  # lets go of what belongs to it
                continue
            until = max(deadline - RESERVED_S * place, time.monotonic() + POLL_S)
            child.terminate()
            is_ended = await _ends(child, until)
            child.kill()
            how = "stopped" if is_ended else "was killed: it did not end in time"
            self._announce(f"{child.name} {how}")


async def _ends(child: Child, until: float) -> bool:
    while child.is_alive:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(POLL_S / 2)
    return True


def _as_unavailable(child: Child, fault: OSError, what: str) -> AuditError:
    path = f" ({fault.filename})" if fault.filename else ""
    reason = fault.strerror or type(fault).__name__
    error = Unavailable(f"{child.name}: {what} failed{path}: {reason}")
    error.__cause__ = fault
    return error


def _is_final(error: AuditError, failures: int) -> bool:
    return isinstance(error, Misconfigured) or failures + 1 >= START_ATTEMPTS_MAX


def _as_code(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f" by {signal.Signals(-code).name}"
    return f" with exit code {code}"
