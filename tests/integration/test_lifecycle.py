"""Children that end with their parent, a supervisor that keeps them, a folder that is ours."""

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from runtime import health
from runtime.child_log import KEPT, ChildLog
from runtime.data_dir import DataDir
from runtime.health import Readiness, serve_health
from runtime.ports import free_port
from runtime.probe import missing, ready_probe
from runtime.processes import is_running
from runtime.retry import Backoff
from runtime.supervisor import Command, CommandSpec, Supervisor
from schemas.errors import Misconfigured, Unavailable

ROOT = Path(__file__).parents[2]
SERVICE = """
import asyncio, os, sys
from pathlib import Path
from runtime.lifecycle import follow_parent, run_service
marks = Path(sys.argv[1])
fd = os.environ.get("AUDIT_PARENT_FD")
follow_parent(int(fd) if fd else None, 5)
async def work():
    (marks / "pid").write_text(str(os.getpid()))
    try:
        await asyncio.sleep(300)
    finally:
        (marks / "stopped").touch()
raise SystemExit(run_service(work()))
"""
PARENT = """
import asyncio, os, sys
from pathlib import Path
from runtime.supervisor import Command, CommandSpec, Supervisor
marks = Path(sys.argv[1])
async def is_ready():
    return (marks / "pid").exists()
env = {"PYTHONPATH": sys.argv[3]}
spec = CommandSpec("child", [sys.executable, "-c", sys.argv[2], str(marks)], env, is_ready)
asyncio.run(Supervisor([Command(spec, marks)], lambda line: print(line, flush=True)).run())
"""


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        await asyncio.sleep(0.02)


async def at_once() -> bool:
    return True


def child(name: str, code: str, tmp_path: Path, *arguments: str) -> Command:
    env = {"PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", code, *arguments]
    return Command(CommandSpec(name, argv, env, at_once, ready_timeout_s=10), tmp_path)


def supervise(children: list[Command], stop_total_s: float = 10.0) -> tuple[Supervisor, list[str]]:
    said: list[str] = []
    supervisor = Supervisor(
        children, said.append, restarts=Backoff(0.01, 0.02), stop_total_s=stop_total_s
    )
    return supervisor, said


def parent_of(marks: Path) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", PARENT, str(marks), SERVICE, str(ROOT)]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_children_start_at_once_and_stop_in_reverse(tmp_path: Path) -> None:
    children = [child(name, "import time; time.sleep(300)", tmp_path) for name in ("a", "b", "c")]
    supervisor, said = supervise(children)
    await supervisor.run(on_ready=supervisor.request_stop)
    told = [line.split(" (")[0] for line in said]
    assert sorted(told[:3]) == ["a is ready", "b is ready", "c is ready"]
    assert told[3:] == ["c stopped", "b stopped", "a stopped"]
    assert not any(one.is_alive for one in children)


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    one = child("one", "import time; time.sleep(300)", tmp_path)
    supervisor, said = supervise([one])
    running = asyncio.create_task(supervisor.run())
    await until(lambda: bool(said), "the first start")
    first = one.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: any("ready again" in line for line in said), "the second start")
    assert one.pid != first
    assert said[1].startswith("one ended by SIGKILL; starting it again")
    supervisor.request_stop()
    await running
    assert len([line for line in said if "starting it again" in line]) == 1


class OnFullDisk(Command):
    """Its first start succeeds, the next two and all tending find no room."""

    starts = 0

    def spawn(self) -> None:
        self.starts += 1
        if self.starts in {2, 3}:
            raise OSError(errno.ENOSPC, "No space left on device", "/d/pid")
        super().spawn()

    def tend(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/d/log")


async def test_a_restart_that_finds_the_disk_full_is_tried_until_there_is_room(
    tmp_path: Path,
) -> None:
    argv = [sys.executable, "-c", "import time; time.sleep(300)"]
    one = OnFullDisk(CommandSpec("one", argv, {}, at_once), tmp_path)
    supervisor, said = supervise([one])
    running = asyncio.create_task(supervisor.run())
    await until(lambda: any("its log" in line for line in said), "the first start")
    assert one.pid is not None
    os.kill(one.pid, signal.SIGKILL)
    await until(lambda: any("ready again" in line for line in said), "the room")
    supervisor.request_stop()
    await running
    full = "one: starting it failed (/d/pid): No space left on device; starting it again"
    assert len([line for line in said if line.startswith(full)]) == 2
    told = "one: its log failed (/d/log): No space left on device"
    assert said.count(told) == 1, "until it is well again"


async def test_a_first_start_that_finds_the_disk_full_is_given_up(tmp_path: Path) -> None:
    one = OnFullDisk(CommandSpec("one", ["x"], {}, at_once), tmp_path)
    one.starts = 1
    supervisor, _said = supervise([one])
    with pytest.raises(Unavailable, match=r"starting it failed \(x\): No such file"):
        await supervisor.run()


async def test_a_child_that_never_starts_is_told_with_its_last_words(tmp_path: Path) -> None:
    code = "import sys; sys.exit('no \\x1b[2J luck')"
    never = Command(
        CommandSpec("bad", [sys.executable, "-c", code], {}, ready_probe("127.0.0.1", 1)), tmp_path
    )
    supervisor, said = supervise([never])
    with pytest.raises(Unavailable, match=r"bad ended with exit code 1:\n  no \\x1b\[2J luck"):
        await supervisor.run()
    again = [line for line in said if "starting it again" in line]
    assert len(again) == 2
    assert all("\n" not in line for line in again)


async def test_a_misconfigured_child_is_not_tried_again(tmp_path: Path) -> None:
    never = Command(
        CommandSpec(
            "bad",
            [sys.executable, "-c", "import sys; print('port 5 is taken'); sys.exit(2)"],
            {},
            ready_probe("127.0.0.1", 1),
        ),
        tmp_path,
    )
    supervisor, said = supervise([child("good", "input()", tmp_path), never])
    with pytest.raises(Misconfigured, match="port 5 is taken"):
        await supervisor.run()
    assert not [line for line in said if line.startswith("bad")]


async def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    code = """
import signal, time, pathlib, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(300)
"""
    deaf = child("deaf", code, tmp_path, str(tmp_path / "ignores"))
    supervisor, said = supervise([deaf], stop_total_s=0.5)
    running = asyncio.create_task(supervisor.run())
    await until((tmp_path / "ignores").exists, "the child to ignore us")
    supervisor.request_stop()
    await running
    assert said[-1] == "deaf was killed: it did not end in time"
    assert not deaf.is_alive


async def test_children_of_a_killed_supervisor_stop_in_order(tmp_path: Path) -> None:
    with parent_of(tmp_path) as parent:
        await until((tmp_path / "pid").exists, "the child")
        await until(lambda: (tmp_path / "pid").read_text() != "", "the child's number")
        pid = int((tmp_path / "pid").read_text())
        parent.send_signal(signal.SIGKILL)
    await until((tmp_path / "stopped").exists, "the orderly stop")
    await until(lambda: not is_running(pid), "the child to end")


SLOW_TO_STOP = """
import asyncio, sys
from pathlib import Path
from runtime.lifecycle import run_service
marks = Path(sys.argv[1])
async def work():
    (marks / "ready").touch()
    try:
        await asyncio.sleep(300)
    finally:
        await asyncio.sleep(2)
        (marks / "stopped").touch()
raise SystemExit(run_service(work()))
"""


def slow_to_stop(marks: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", SLOW_TO_STOP, str(marks)], cwd=ROOT)


@pytest.mark.parametrize(("wait_s", "code"), [(0.0, 0), (1.0, 130)])
async def test_a_wish_told_twice_is_one_and_a_later_one_ends_at_once(
    tmp_path: Path, wait_s: float, code: int
) -> None:
    with slow_to_stop(tmp_path) as service:
        await until((tmp_path / "ready").exists, "the service")
        service.send_signal(signal.SIGTERM)
        await asyncio.sleep(wait_s)
        service.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(service.wait, 20) == code
    assert (tmp_path / "stopped").exists() == (code == 0)


def test_ctrl_c_on_the_supervisor_stops_everything(tmp_path: Path) -> None:
    with parent_of(tmp_path) as parent:
        assert parent.stdout is not None
        assert "child is ready" in parent.stdout.readline()
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.read() == "child stopped\n"
    assert parent.returncode == 0
    assert (tmp_path / "stopped").exists()


def test_a_second_owner_of_a_data_folder_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with DataDir(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        with (
            pytest.raises(Misconfigured, match=f"{folder} is in use by pid {os.getpid()}"),
            DataDir(folder),
        ):
            pass
    with DataDir(folder):
        pass


def test_a_folder_that_cannot_be_is_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "file", "there is a file of that name"),
        (tmp_path / "file" / "under", "a part of the path is a file"),
        (Path("/proc/1/nothing"), "it can't be made there"),
    ):
        with pytest.raises(Misconfigured, match=f"{path}: {reason}"), DataDir(path):
            pass


def test_a_disk_without_room_is_told_before_anything_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(Misconfigured, match="MiB are free on its disk"),
        DataDir(tmp_path / "data", free_bytes_min=1 << 60),
    ):
        pass


def test_ports_stay_over_restarts_and_differ_between_folders(tmp_path: Path) -> None:
    with DataDir(tmp_path / "one") as one, DataDir(tmp_path / "two") as two:
        ports = one.ports({"kafka": None, "api": None})
        assert len({*ports.values(), *two.ports({"kafka": None, "api": None}).values()}) == 4
    with DataDir(tmp_path / "one") as one:
        assert one.ports({"kafka": None, "api": None, "new": None}).items() > ports.items()


def test_a_remembered_port_that_another_took_is_chosen_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.data_dir.PORT_WAIT_S", 0.1)
    with DataDir(tmp_path) as data:
        (port,) = data.ports({"api": None}).values()
        with socket.create_server(("127.0.0.1", port)):
            assert data.ports({"api": None})["api"] != port
            with pytest.raises(Misconfigured, match=f"port {port} .* for api is taken"):
                data.ports({"api": port})


@pytest.mark.parametrize("content", ["{", "[]", '{"api": "x", "b": 0, "c": true}'])
def test_a_damaged_list_of_ports_is_made_anew(tmp_path: Path, content: str) -> None:
    with DataDir(tmp_path) as data:
        (tmp_path / "ports.json").write_text(content)
        port = data.ports({"api": None})["api"]
        assert json.loads((tmp_path / "ports.json").read_text()) == {"api": port}


def test_a_full_child_log_is_turned_over_while_it_is_written(tmp_path: Path) -> None:
    log = ChildLog(tmp_path / "x.log", bytes_max=10)
    with log.open() as output:
        for number in range(5):
            output.write(b"line %d of many\n" % number)
            assert log.turn_over()
        output.write(b"last\n")
        assert not log.turn_over()
    assert log.tail() == "  last"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert (tmp_path / f"x.log.{KEPT}").read_text() == "line 3 of many\n"


async def test_half_a_request_holds_no_place_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REQUEST_TIMEOUT_S", 0.3)
    readiness, port = Readiness([]), free_port()
    post = b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    begun = (b"", b"GET /live HTTP/1.1\r\n", post)
    async with (
        serve_health("127.0.0.1", port, readiness, CollectorRegistry()) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        for number, (_reader, writer) in enumerate(half):
            writer.write(begun[number % len(begun)])
        assert (await client.get("/live")).status_code == 503, "all places are taken"
        async with asyncio.timeout(20):
            for reader, writer in half:
                with contextlib.suppress(ConnectionResetError):
                    await reader.read()
                writer.close()
        assert (await client.get("/live")).status_code == 200


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"G")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.readexactly(1), 0.05)


async def test_a_connection_may_ask_again_and_trickling_wins_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "REQUEST_TIMEOUT_S", 0.3)
    port = free_port()
    async with serve_health("127.0.0.1", port, Readiness([]), CollectorRegistry()):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.4)  # longer than a request may take, shorter than a pause may
        async with asyncio.timeout(20):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await trickle(reader, writer)
        writer.close()


async def test_readiness_names_what_is_missing_over_http() -> None:
    readiness, registry = Readiness(["kafka", "store"]), CollectorRegistry()
    port = free_port()
    async with serve_health("127.0.0.1", port, readiness, registry) as url:
        readiness.meet("kafka")
        readiness.miss("store", "no answer", "start ClickHouse")
        assert not await ready_probe("127.0.0.1", port)()
        assert await missing("127.0.0.1", port) == ["store: no answer"]
        async with httpx.AsyncClient(base_url=url) as client:
            told = await client.get("/ready")
            assert told.status_code == 503
            assert told.json()["missing"] == [
                {"condition": "store", "missing": "no answer", "do": "start ClickHouse"}
            ]
            readiness.meet("store")
            assert (await client.get("/ready")).status_code == 200
            assert (await client.get("/live")).status_code == 200
            assert "audit_process_resident_bytes" in (await client.get("/metrics")).text
        with pytest.raises(Misconfigured, match=f"port {port} "):
            async with serve_health("127.0.0.1", port, readiness, CollectorRegistry()):
                pass
    assert not await ready_probe("127.0.0.1", port)()
