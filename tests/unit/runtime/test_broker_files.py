from pathlib import Path

import pytest

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
