"""`audit up` on good and bad days: named faults, clean ends, kills that lose nothing."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.context import known_port
from schemas.topics import topic_specs
from tests.stack import COMMAND, Stack, lines, running, wait

EVENT = {
    "timestamp": "2025-10-11T14:23:15Z",
    "user": "jane.doe@company.com",
    "action": "authentication.login.success",
    "ip_address": "203.0.113.42",
    "session_id": "sess_abc123",
    "details": {},
}
MOUNT, UMOUNT = "/bin/mount", "/bin/umount"
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the module."""
    with running(tmp_path_factory.mktemp("up") / "data") as stack:
        yield stack


def up(data: Path, *options: str, **env: str) -> "subprocess.Popen[str]":
    """Start `audit up`."""
    return subprocess.Popen(
        [*COMMAND, "up", "--data", str(data), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **env},
    )


def refused(data: Path, *options: str, **env: str) -> str:
    """Start it where it can't; return the one line that it says before it exits with 2."""
    with up(data, *options, **env) as process:
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 2, said
    assert said.startswith("audit: ")
    assert said.count("\n") == 1, said
    return said


def tiny_disk(folder: Path, *options: str) -> bool:
    """Mount a small file system there, where this user may."""
    folder.mkdir()
    if not Path(MOUNT).exists():
        return False
    mount = [MOUNT, "-t", "tmpfs", "-o", ",".join(["size=4m", *options]), "tmpfs", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param((), r"only \d MiB are free on its disk, 512 MiB are needed", id="full"),
        pytest.param(("ro",), "the disk is read-only: choose another folder", id="read-only"),
    ],
)
def test_disk_that_takes_nothing_is_named(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    disk = tmp_path / "disk"
    if not tiny_disk(disk, *options):
        pytest.skip("this user may not mount a disk")
    try:
        said = refused(disk / "data")
    finally:
        subprocess.run([UMOUNT, str(disk)], check=True)
    assert str(disk / "data") in said
    assert re.search(told, said)


def test_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    said = refused(tmp_path / "data")
    assert f"{tmp_path / 'data'}: there is a file of that name: choose another folder" in said


@pytest.mark.parametrize("option", ["--port", "--kafka-port"])
def test_port_that_is_taken_is_named_with_its_holder(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = refused(tmp_path / "data", option, str(port))
    assert f"port {port}" in said
    assert f"pid {os.getpid()}" in said


def test_one_port_for_two_is_refused(tmp_path: Path) -> None:
    assert "both 25001" in refused(tmp_path / "data", "--port", "25001", "--kafka-port", "25001")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        pytest.param("AUDIT_SINK_ROW_MAX", "5", "did you mean AUDIT_SINK_ROWS_MAX?", id="unknown"),
        pytest.param("AUDIT_SINK_ROWS_MAX", "0", "greater than or equal to 1", id="wrong"),
    ],
)
def test_setting_that_will_not_do_is_named(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    said = refused(tmp_path / "data", **{name: value})
    assert name in said
    assert told in said
    assert not (tmp_path / "data").exists()


def test_token_that_others_can_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    token = tmp_path / "data" / "token"
    token.parent.mkdir()
    token.write_text("x" * 43)
    token.chmod(0o644)
    assert f"chmod 600 {token}" in refused(tmp_path / "data")


def test_second_start_on_one_folder_is_refused_by_pid(stack: Stack) -> None:
    assert stack.pid is not None
    assert f"in use by pid {stack.pid}" in refused(stack.data)


@pytest.mark.parametrize(
    ("after_s", "number"),
    [
        pytest.param(0.0, signal.SIGINT, id="Ctrl-C at once"),
        pytest.param(1.5, signal.SIGINT, id="Ctrl-C soon"),
        pytest.param(3.0, signal.SIGINT, id="Ctrl-C late"),
        pytest.param(2.0, signal.SIGHUP, id="terminal closed"),
    ],
)
def test_end_while_it_starts_leaves_nothing(
    tmp_path: Path, after_s: float, number: signal.Signals
) -> None:
    with up(tmp_path / "data") as process:
        wait("the first sign of it", (tmp_path / "data" / "lock").exists, 20)
        time.sleep(after_s)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        process.send_signal(number)
        said, _ = process.communicate(timeout=10)
    assert "Traceback" not in said
    _gone, alive = psutil.wait_procs(children, timeout=2)
    assert not alive


def test_output_of_a_start_and_a_stop_is_short_and_its_logs_show_no_error(stack: Stack) -> None:
    said = stack.log.read_text()
    told = [line for line in said.splitlines() if "/login/" not in line]  # links are long
    assert all(len(line) <= 80 + len(str(stack.data)) for line in told)
    assert not CONTROLS.search(said)
    for log in (stack.data / "logs").glob("*.log"):
        assert '"level":"error"' not in log.read_text(), log.name


@pytest.mark.parametrize("role", ["pipeline", "store", "kafka"])
def test_killed_child_is_started_again_and_announced_in_one_line(stack: Stack, role: str) -> None:
    seen = stack.log.stat().st_size
    received = stack.own()["received"]
    stack.kill(role)

    def said() -> list[str]:
        return stack.log.read_text()[seen:].splitlines()

    wait("the new start", lambda: " is ready again " in "".join(said()), 60, tell=stack.tail)
    about = [line for line in said() if line.startswith(role)]
    assert re.fullmatch(rf"{role} ended by SIGKILL; starting it again in \d\.\d s", about[0])
    assert re.fullmatch(rf"{role} is ready again \(\d+\.\d s\)", about[1])
    stack.audit("publish", "-", stdin=lines([EVENT]))
    assert stack.settle(received + 1)["difference"] == 0


def test_killed_parent_takes_its_children_along_and_the_next_start_works(stack: Stack) -> None:
    received = stack.own()["received"]
    stack.audit("publish", "-", stdin=lines([EVENT] * 100))
    children = stack.kill_parent()
    stack.start()
    _gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert stack.settle(received + 100)["stored"] == received + 100


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells of a parent's end on Linux")
def test_kafka_of_a_killed_parent_ends_in_order_for_its_clients_are_still_ending(
    stack: Stack,
) -> None:
    children = stack.kill_parent()
    _gone, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    assert (stack.data / "kafka/data/.kafka_cleanshutdown").exists()
    stack.start()


def test_two_folders_run_side_by_side_and_sigterm_ends_one(stack: Stack, tmp_path: Path) -> None:
    with running(tmp_path / "other") as other:
        other.audit("publish", "-", stdin=lines([EVENT]))
        assert other.settle(1)["stored"] == 1
        assert known_port(other.data, "kafka") != known_port(stack.data, "kafka")
        assert stack.ledger()["difference"] == 0
        assert other.stop(signal.SIGTERM) == 0
    assert stack.ledger()["difference"] == 0


def test_topics_verifies_those_of_the_stack(stack: Stack) -> None:
    bootstrap = f"127.0.0.1:{known_port(stack.data, 'kafka')}"
    done = subprocess.run(
        [*COMMAND, "topics", "--verify"],
        env={**os.environ, "AUDIT_KAFKA_BOOTSTRAP": bootstrap},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    topics = topic_specs(partitions=4)
    assert done.stdout.count("as it must be, 4 partitions") == len(topics)


def test_ctrl_c_ends_all_within_ten_seconds(stack: Stack) -> None:
    began = time.monotonic()
    assert stack.stop() == 0
    assert time.monotonic() - began < 10 + 2  # the bound of the stop, and the look at the children
