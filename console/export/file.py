"""The file of an export while it is written: appended, hashed, and safe up to its checkpoint."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from schemas.errors import StoreUnavailable

FREE_BYTES_MIN: Final = 268_435_456  # the store's disk: what it needs to go on
_BLOCK: Final = 1_048_576
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DiskFull(StoreUnavailable):
    """There is no room for the file: remove other files, or export less."""


class ExportFile:
    """A file that grows; what `keep` returned from survives a crash, what came after is cut off.

    Beside it lies, for Parquet, one line a row group with its place and footer. Raises `DiskFull`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._groups = path.with_suffix(".groups")
        self._out = _open(path)
        self._side = _open(self._groups)
        self.bytes = 0
        self._hash = hashlib.sha256()

    def resume(self, size: int) -> bool:
        """Go back to a checkpoint of so many bytes; False if the file does not reach it."""
        if os.fstat(self._out).st_size < size:
            size, is_whole = 0, False
        else:
            is_whole = True
        self._hash = hashlib.sha256()
        left = size
        os.lseek(self._out, 0, os.SEEK_SET)
        while left:
            block = os.read(self._out, min(_BLOCK, left))
            self._hash.update(block)
            left -= len(block)
        os.ftruncate(self._out, size)
        os.lseek(self._out, size, os.SEEK_SET)
        self.bytes = size
        kept = [line for line in self._lines() if line[0] + line[1] <= size]
        text = b"".join(
            b"%d %d %s\n" % (at, length, foot.hex().encode()) for at, length, foot in kept
        )
        os.ftruncate(self._side, 0)
        os.lseek(self._side, 0, os.SEEK_SET)
        _write(self._side, text)
        return is_whole

    def append(self, body: bytes, footer: bytes = b"") -> None:
        """Write a piece, with the footer of its row group if it has one."""
        if footer:
            _write(self._side, b"%d %d %s\n" % (self.bytes, len(body), footer.hex().encode()))
        _write(self._out, body)
        self._hash.update(body)
        self.bytes += len(body)

    def keep(self) -> int:
        """Bring all to disk; return the size that is safe."""
        _synced(self._side)
        _synced(self._out)
        if shutil.disk_usage(self.path.parent).free < FREE_BYTES_MIN:
            raise DiskFull(_said(self.path))
        return self.bytes

    def groups(self) -> Iterator[tuple[int, bytes]]:
        """Return place and footer of each row group."""
        for at, _length, footer in self._lines():
            yield at, footer

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        with self._groups.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    at, length, footer = line.split()
                    yield int(at), int(length), bytes.fromhex(footer.decode())

    def finish(self, target: Path) -> str:
        """Give the file its name; return its SHA-256."""
        self.keep()
        self.close()
        self.path.replace(target)
        self._groups.unlink(missing_ok=True)
        sync_folder(target.parent)
        return self._hash.hexdigest()

    def close(self) -> None:
        """Close without finishing. Idempotent."""
        for descriptor in (self._out, self._side):
            if descriptor >= 0:
                os.close(descriptor)
        self._out = self._side = -1


def write_small(path: Path, body: bytes) -> None:
    """Write a whole file that is there as a whole or not at all."""
    draft = path.with_suffix(".draft")
    descriptor = _open(draft)
    try:
        os.ftruncate(descriptor, 0)
        _write(descriptor, body)
        _synced(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    sync_folder(path.parent)


def remove(folder: Path, job_id: str) -> None:
    """Remove all files of an export."""
    for path in folder.glob(f"{job_id}.*"):
        path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make the folder of all exports, for its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def sync_folder(folder: Path) -> None:
    """Bring names to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _fault(error, path.name) from error


def _write(descriptor: int, body: bytes) -> None:
    view = memoryview(body)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise _fault(error, "the export's file") from error


def _synced(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _fault(error, "the export's file") from error


def _fault(error: OSError, name: str) -> StoreUnavailable:
    if error.errno in _FULL:
        return DiskFull("the disk is full: nothing of the export was kept")
    return StoreUnavailable(f"{name} can't be written ({error.strerror})")


def _said(path: Path) -> str:
    free = shutil.disk_usage(path.parent).free >> 20
    return (
        f"the disk has only {free} MiB left, which the store needs: nothing of the export was kept"
    )
