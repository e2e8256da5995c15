"""Loopback ports: which are free, and who has one that is not."""

import contextlib
import random
import socket
import time
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

LOOPBACK: Final = "127.0.0.1"
# Below every system's ephemeral range: a client that knocks at a closed ephemeral port can be
# given that very port as its own source, connect to itself, and keep the server from coming back.
FIRST: Final = 20_000
LAST: Final = 29_999
TRIES_MAX: Final = 500
POLL_S: Final = 0.05


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(avoid: frozenset[int] = frozenset()) -> int:
    """Return a free port outside the ephemeral range. Raises `Misconfigured` when none is found."""
    for _ in range(TRIES_MAX):
        port = random.randint(FIRST, LAST)  # noqa: S311 - only spreads servers, guards nothing
        if port not in avoid and is_free(port):
            return port
    raise Misconfigured(f"no free port found between {FIRST} and {LAST} on {LOOPBACK}")


def holder(port: int) -> str:
    """Name the process that listens on the port as "pid 12 (java)", or "" where that is unknown.

    Linux only, and only for processes that this user may look into.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if str(link.readlink()) in wanted:
                pid = link.parts[2]
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
                return f"pid {pid} ({name})"
    return ""


def wait_free(port: int, timeout_s: float) -> bool:
    """Wait for what holds the port to end; say whether it did.

    A process that was killed keeps its sockets for some more milliseconds.
    """
    deadline = time.monotonic() + timeout_s
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def require_free(port: int, what: str, host: str = LOOPBACK) -> None:
    """Raise `Misconfigured` naming the port, its holder and what wanted it, unless it is free."""
    if not is_free(port, host):
        who = holder(port) or "another process"
        raise Misconfigured(
            f"port {port} on {host} for {what} is taken by {who}: stop that or choose another"
        )


def _listening_inodes(port: int) -> frozenset[str]:
    found: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                columns = line.split()
                if columns[3] == "0A" and int(columns[1].rsplit(":", 1)[1], 16) == port:
                    found.add(columns[9])
    return frozenset(found)
