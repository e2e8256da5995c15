import subprocess
import sys
from pathlib import Path

import pytest

from runtime import broker
from runtime.broker import EmbeddedKafka
from runtime.broker_config import server_properties
from runtime.broker_faults import explain
from schemas.errors import BrokerUnavailable, Misconfigured


def properties(log_dir: str) -> str:
    return server_properties(
        log_dir=Path(log_dir), port=20_001, controller_port=20_002, host="127.0.0.1"
    )


def test_the_broker_listens_on_loopback_alone() -> None:
    lines = dict(line.split("=", 1) for line in properties("/d").splitlines())
    assert lines["listeners"] == "PLAINTEXT://127.0.0.1:20001,CONTROLLER://127.0.0.1:20002"
    assert lines["auto.create.topics.enable"] == "false"


def test_a_folder_of_any_name_reads_back_in_java() -> None:
    text = properties("/dä ta\\x/😀")
    assert "log.dirs=/d\\u00e4 ta\\\\x/\\ud83d\\ude00\n" in text
    assert text.isascii()


def test_a_folder_with_a_comma_is_refused() -> None:
    with pytest.raises(Misconfigured, match="comma"):
        properties("/a,b")


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "x\nSocket server failed to bind to 127.0.0.1:23456: Address already in use",
            "port 23456",
        ),
        ("java.io.IOException: No space left on device", "disk of /d is full"),
        ("ReadOnlyFileSystem: /d: Read-only file system", "/d is on a read-only disk"),
        ("Failed to acquire lock on file .lock in /d", "another Kafka process uses /d"),
        ("java.nio.file.AccessDeniedException: /d/x", "may not write"),
    ],
)
def test_a_known_cause_is_named_for_the_operator(log: str, cause: str) -> None:
    error = explain("Kafka did not start", log, Path("/d"))
    assert isinstance(error, Misconfigured)
    assert cause in str(error)


def test_an_unknown_cause_quotes_the_log_without_its_frames() -> None:
    error = explain("Kafka did not start", "ERROR odd\x1b[2J\n\tat a.b.C(D.java:1)\n", Path("/d"))
    assert isinstance(error, BrokerUnavailable)
    assert str(error) == "Kafka did not start; the end of its log:\n  ERROR odd?[2J"


def test_a_disk_that_fills_while_kafka_starts_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = EmbeddedKafka(tmp_path / "kafka", 20_001, 20_002, home=tmp_path)
    started: list[subprocess.Popen[bytes]] = []

    def begin(*_: object, **__: object) -> "subprocess.Popen[bytes]":
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return started[0]

    monkeypatch.setattr(broker, "class_path", lambda _home: (tmp_path / "a.jar",))
    monkeypatch.setattr(broker, "require_free", lambda *_: None)
    monkeypatch.setattr(broker, "spawn", begin)
    monkeypatch.setattr(EmbeddedKafka, "_format", lambda *_: None)
    monkeypatch.setattr(EmbeddedKafka, "pid_path", tmp_path / "no" / "broker.pid")
    with pytest.raises(BrokerUnavailable, match=r"no/broker\.pid: No such file"):
        kafka.spawn()
    assert kafka.pid is None
    assert started[0].poll() is not None
