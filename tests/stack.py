"""`audit up` as its users run it, for tests: one data folder, real processes, real kills."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

READY_S = 90.0
STOP_S = 15.0
NO_CANARIES = {"AUDIT_CANARY_PERIOD_S": "0"}  # events of their own would spoil what tests count
CONSOLE = "audit-console"  # the source of the events that tell who looked at the log
LOOKS_MAX = 10  # of those, on their way while a test waits for its own
COMMAND = [sys.executable, "-m", "cli"]


class Stack:
    """The processes of one data folder. Every wait has a bound and says what it waited for."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.data = data
        self.log = data.with_suffix(".log")
        self._options = options
        # what tells the tests something would be a wrong setting of the program
        given = {k: v for k, v in os.environ.items() if not k.startswith("AUDIT_TEST_")}
        self._env = {**given, "PYTHONUNBUFFERED": "1", **NO_CANARIES, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return once everything is ready."""
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*COMMAND, "up", "--data", str(self.data), *self._options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
            )
        wait("everything to be ready", lambda: self._is_up(seen), READY_S, tell=self.tail)

    def _is_up(self, seen: int) -> bool:
        assert self._process is not None
        said = self.log.read_bytes()[seen:].decode(errors="replace")
        assert self._process.poll() is None, f"audit up ended:\n{said}"
        return "Audit Stream is up" in said

    @property
    def pid(self) -> int | None:
        """The supervisor, while there is one."""
        return self._process.pid if self._process is not None else None

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Press Ctrl-C, or send another signal; return the exit status. No child may be left."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(number)
        status = self._process.wait(STOP_S)
        _gone, alive = psutil.wait_procs(children, timeout=2)
        assert not alive, f"left behind: {alive}"
        self._process = None
        return status

    def end(self) -> None:
        """Make sure that nothing is left, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            children = psutil.Process(self._process.pid).children(recursive=True)
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
            for child in children:
                with_suppressed_kill(child)

    def kill_parent(self) -> list[psutil.Process]:
        """Kill the supervisor with -9; return what were its children."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        self._process = None
        return children

    def child(self, role: str) -> psutil.Process:
        """Find a child: kafka, pipeline, store or sample. Waits until it is there."""
        assert self._process is not None
        found: list[psutil.Process] = []

        def look() -> bool:
            assert self._process is not None
            for process in psutil.Process(self._process.pid).children(recursive=True):
                try:
                    words = process.cmdline()
                except (psutil.NoSuchProcess, psutil.ZombieProcess):
                    continue
                if (role == "kafka" and "kafka.Kafka" in words) or role in words[3:5]:
                    found[:] = [process]
                    return True
            return False

        wait(f"the process {role}", look, READY_S, tell=self.tail)
        return found[0]

    def kill(self, role: str) -> None:
        """Kill -9 one child."""
        self.child(role).kill()

    def audit(self, *words: str, stdin: bytes | None = None, status: int | None = 0) -> str:
        """Run a command on this data folder; return what it printed."""
        done = subprocess.run(
            [*COMMAND, *words, "--data", str(self.data)],
            input=stdin,
            capture_output=True,
            timeout=120,
            env=self._env,
            check=False,
        )
        if status is not None:
            assert done.returncode == status, done.stderr.decode() + self.tail()
        return done.stdout.decode()

    def json(self, *words: str) -> Any:
        """Run a read command with --json; return what it says."""
        return json.loads(self.audit(*words, "--json"))

    def ledger(self) -> dict[str, Any]:
        """Return the ledger; it must always balance."""
        found: dict[str, Any] = json.loads(self.audit("ledger", "--json", status=None) or "{}")
        assert found.get("difference", 0) == 0, found
        return found

    def own(self) -> dict[str, Any]:
        """Return the ledger of what the test published; the console tells of each look at it."""
        found = self.ledger()
        found["stored"] = sum(event["source"] != CONSOLE for event in self.events())
        return found | {"received": found["stored"] + found["quarantined"]}

    def settle(self, received: int, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until exactly that many events of the test's own came in and are accounted for."""
        last: dict[str, Any] = {}

        def is_settled() -> bool:
            last.update(self.ledger())
            if last.get("received", 0) < received or last["lag"] > LOOKS_MAX:
                return False
            last.update(self.own())
            return bool(last["received"] == received)

        wait(f"{received} events to be accounted for", is_settled, seconds, tell=lambda: str(last))
        return last

    def events(self, *filters: str, limit: int = 1_000_000) -> list[dict[str, Any]]:
        """Search; return the events, newest first."""
        out = self.audit("search", "--format", "jsonl", "--limit", str(limit), *filters)
        return [json.loads(line) for line in out.splitlines()]

    def tail(self) -> str:
        """Return the last lines of every log."""
        logs = [self.log, *sorted((self.data / "logs").glob("*.log"))]
        texts = (f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)
        return "\n".join(texts)


def with_suppressed_kill(process: psutil.Process) -> None:
    """Kill a process that may be gone."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def wait(
    what: str, is_so: Callable[[], bool], seconds: float, *, tell: Callable[[], str] = str
) -> None:
    """Poll until it is so; fail with what was waited for."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}\n{tell()}"
        time.sleep(0.2)


@contextmanager
def running(data: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[Stack]:
    """Give a stack that runs, and leave nothing behind."""
    stack = Stack(data, *options, env=env)
    try:
        stack.start()
        yield stack
    finally:
        stack.end()


def lines(events: Sequence[dict[str, Any]]) -> bytes:
    """Return events as JSON lines."""
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)
