"""The data folder: ours alone while we run, writable, with room, and with ports that stay."""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from runtime.ports import free_port, require_free, wait_free
from schemas.errors import Misconfigured

FREE_BYTES_MIN: Final = 512 << 20  # Kafka and ClickHouse stop in the middle of things without room
# what a run before us left is ending: a port is not given up for its last moments
PORT_WAIT_S: Final = 3.0

_REASONS: Final[Mapping[int, str]] = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.EACCES: "this user may not write there: change its owner, or choose another folder",
    errno.EPERM: "this user may not write there: change its owner, or choose another folder",
    errno.ENOTDIR: "a part of the path is a file: choose another folder",
    errno.EEXIST: "there is a file of that name: choose another folder",
    errno.ENOENT: "it can't be made there: choose another folder",
    errno.ENAMETOOLONG: "the name is too long: choose another folder",
}


class DataDir:
    """A context manager that owns the folder: one at a time on the machine, freed by any death."""

    def __init__(self, path: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        self.path = path.absolute()
        self._free_bytes_min = free_bytes_min
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Make, check and lock it. Raises `Misconfigured` naming the folder and the reason."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_lock()
            self._probe()
        except OSError as error:
            self._give_lock()
            reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
            raise Misconfigured(f"can't keep data in {self.path}: {reason}") from error
        except Misconfigured:
            self._give_lock()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_lock()

    @property
    def logs(self) -> Path:
        """Where the children's output goes; made when asked for."""
        folder = self.path / "logs"
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder

    def ports(self, wanted: Mapping[str, int | None]) -> dict[str, int]:
        """Return a free port for each name: the one asked for, else that of last time, else any.

        Remembers them. Raises `Misconfigured` when one that was asked for is taken.
        """
        before = self._remembered()
        chosen: dict[str, int] = {}
        for name, port in wanted.items():
            if port is not None:
                wait_free(port, PORT_WAIT_S)
                require_free(port, name)
                chosen[name] = port
        for name in wanted.keys() - chosen.keys():
            old = before.get(name)
            taken = frozenset(chosen.values()) | frozenset(before.values())
            is_kept = (
                isinstance(old, int) and old not in chosen.values() and wait_free(old, PORT_WAIT_S)
            )
            chosen[name] = old if is_kept and old is not None else free_port(taken)
        self._remember(before | chosen)
        return {name: chosen[name] for name in wanted}

    def _remembered(self) -> dict[str, int]:
        try:
            found: Any = json.loads((self.path / "ports.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # new, or damaged: ports are only a convenience and are chosen anew
        if not isinstance(found, dict):
            return {}
        return {
            name: port
            for name, port in found.items()
            if isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65_536  # noqa: PLR2004
        }

    def _remember(self, ports: Mapping[str, int]) -> None:
        draft = self.path / "ports.json.tmp"
        draft.write_text(json.dumps(dict(sorted(ports.items())), indent=1) + "\n", encoding="utf-8")
        draft.replace(self.path / "ports.json")

    def _take_lock(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(lock, 20).decode("ascii", errors="replace").strip()
            os.close(lock)
            who = f"pid {owner}" if owner.isdigit() else "another process"
            raise Misconfigured(
                f"data folder {self.path} is in use by {who}: stop that, or give another folder"
            ) from error
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)

    def _give_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _probe(self) -> None:
        """Write for real: a full or read-only disk tells only then."""
        free = shutil.disk_usage(self.path).free
        if free < self._free_bytes_min:
            raise Misconfigured(
                f"can't keep data in {self.path}: only {free >> 20} MiB are free on its disk, "
                f"{self._free_bytes_min >> 20} MiB are needed: free some, or choose another folder"
            )
        probe = self.path / "probe.tmp"
        with probe.open("wb") as file:
            file.write(b"\0" * 65_536)
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
