"""Child processes that never outlive us: how they are spawned, recognised and ended."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
POLL_S: Final = 0.02
IS_LINUX: Final = sys.platform.startswith("linux")
# loaded before any fork: between fork and exec nothing may be imported or allocated at large
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if IS_LINUX else None


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Ask Linux to signal this process when the thread that spawned it ends; elsewhere nothing."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def spawn(  # noqa: PLR0913 - what subprocess needs to be told
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    output: IO[bytes] | int,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    death_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that the terminal's Ctrl-C reaches only us.

    On Linux it gets `death_signal` when the *thread* that calls this ends, however that comes
    about: call it from a thread that lives as long as the child should, best the main one.
    """
    parent = os.getpid()
    return subprocess.Popen(  # noqa: S603 - argv is ours
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=tuple(pass_fds),
        preexec_fn=_tie_to(parent, death_signal) if IS_LINUX else None,  # noqa: PLW1509 - one system call
    )


def command_line(pid: int) -> tuple[str, ...]:
    """Return a process's arguments, empty when it is gone or not ours to look at."""
    if IS_LINUX:
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ()
        return tuple(os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0") if part)
    shown = subprocess.run(  # noqa: S603 - fixed command
        ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return tuple(shown.stdout.split())


def is_running(pid: int) -> bool:
    """Say whether the process runs; one that only waits to be reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not IS_LINUX:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in {"Z", "X"}


def end_orphan(pid: int, is_ours: Callable[[tuple[str, ...]], bool], timeout_s: float) -> bool:
    """Kill a process that a run before us left behind; return whether there was one.

    `is_ours` judges its arguments first, for the number may belong to somebody else by now.
    """
    if not is_running(pid) or not is_ours(command_line(pid)):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + timeout_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return True


def _tie_to(parent: int, death_signal: int) -> Callable[[], None]:
    def tie() -> None:
        die_with_parent(death_signal)
        if os.getppid() != parent:  # it died between fork and prctl: nobody would signal us
            os._exit(1)

    return tie
