"""The whole path as separate processes: Kafka, pipeline, store with sink, alerts and API."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.broker import broker, make_topics, say
from bench.generator import Load
from bench.measure import Usage, usage
from cli.client import Client
from runtime.ports import LOOPBACK, free_port
from runtime.processes import spawn
from schemas.errors import AuditError
from schemas.topics import topic_specs

ROOT: Final = Path(__file__).parent.parent
READY_S: Final = 60.0
STOP_S: Final = 15.0
POLL_S: Final = 0.2
PORTS: Final = ("PIPELINE_HEALTH", "SINK_HEALTH", "ALERT_HEALTH", "API_HEALTH", "API")


@dataclass(frozen=True, slots=True)
class Stack:
    """The running processes by name, and how to reach them."""

    bootstrap: str
    api_url: str
    token_file: Path
    store_path: Path
    pids: Mapping[str, int]

    def client(self) -> Client:
        """Return a client of the API."""
        return Client(self.api_url, self.token_file)

    def usage(self) -> dict[str, Usage]:
        """Return what each process has used so far."""
        return {name: usage(pid) for name, pid in self.pids.items()}


@contextmanager
def stack(
    folder: Path, *, partitions: int = 4, targets: str = "", with_pipeline: bool = True
) -> Iterator[Stack]:
    """Run the whole path on an empty broker; what is stored in `folder` stays there."""
    with broker() as kafka:
        make_topics(kafka.bootstrap, *topic_specs(partitions=partitions))
        assert kafka.pid is not None
        token_file = folder / "token"
        environment = store_environment(
            folder, kafka.bootstrap, targets=targets, partitions=partitions
        )
        with contextlib.ExitStack() as running:
            names = ("pipeline", "store") if with_pipeline else ("store",)
            processes = {n: running.enter_context(service(n, environment, folder)) for n in names}
            found = Stack(
                kafka.bootstrap,
                f"http://{LOOPBACK}:{environment['AUDIT_API_PORT']}",
                token_file,
                folder / "store",
                {"kafka": kafka.pid, **{name: p.pid for name, p in processes.items()}},
            )
            _wait_ready(found, processes)
            yield found


@contextmanager
def service(
    name: str, environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `audit serve NAME` until the block ends; its last words are shown if it died before."""
    log_path = folder / f"{name}.log"
    with log_path.open("ab") as output:
        argv = [sys.executable, "-m", "cli", "serve", name]
        process = spawn(argv, env=environment, output=output, cwd=ROOT)
    try:
        yield process
    finally:
        if process.poll() is not None:
            say(f"{name} ended by itself: {log_path.read_text(errors='replace')[-2_000:]}")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def work_folder(kept: Path | None = None) -> Iterator[Path]:
    """Give a folder for one section's store: a new one, removed after, or the one to keep."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="audit-bench-") as folder:
        yield Path(folder)


@contextmanager
def generator(load: Load) -> Iterator["Generator"]:
    """Run the load generator; it waits for `Generator.begin`."""
    argv = [sys.executable, "-m", "bench.generator", load.argument()]
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Generator(process)
        finally:
            process.kill()


class Generator:
    """The running load generator."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid: Final = process.pid

    def begin(self) -> None:
        """Let it publish, once its events are made."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self) -> dict[str, Any]:
        """Wait for its end; return what it took."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the load generator failed")
        found: dict[str, Any] = json.loads(line)
        return found


def store_environment(
    folder: Path, bootstrap: str, *, targets: str = "", partitions: int = 4
) -> dict[str, str]:
    """Return the settings of all services, with what they keep under `folder`, on free ports."""
    ports = {name: free_port() for name in PORTS}
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "AUDIT_DATA_DIR": str(folder),
        "AUDIT_KAFKA_BOOTSTRAP": bootstrap,
        "AUDIT_KAFKA_PARTITIONS": str(partitions),
        "AUDIT_STORE_DSN": f"chdb://{folder}/store",
        "AUDIT_API_TOKEN_FILE": str(folder / "token"),
        "AUDIT_ALERT_TARGETS": targets,
        "AUDIT_ALERT_WEBHOOK_SECRET": "bench",
        "AUDIT_ALERT_RULE_PER_MINUTE": "0",  # each alert of the load is awaited on its own
        "AUDIT_ALERT_TARGET_PER_MINUTE": "0",
        "AUDIT_LOG_LEVEL": "warning",
        **{f"AUDIT_{name}_PORT": str(port) for name, port in ports.items()},
    }


def _wait_ready(found: Stack, processes: Mapping[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + READY_S
    reason: Any = "no token file"
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes.values()):
            raise SystemExit("a service ended before it was ready")
        if found.token_file.exists():
            try:
                found.client().get("/ledger")
            except AuditError as error:
                reason = error
            else:
                return
        time.sleep(POLL_S)
    raise SystemExit(f"the API did not answer within {READY_S:g} s: {reason}")
