import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.export import file as module
from console.export.file import DiskFull, ExportFile, remove, write_small
from schemas.errors import StoreUnavailable


@pytest.fixture
def file(tmp_path: Path) -> Iterator[ExportFile]:
    made = ExportFile(tmp_path / "x.part")
    yield made
    made.close()


def test_what_came_after_the_checkpoint_is_cut_off(file: ExportFile, tmp_path: Path) -> None:
    file.append(b"head")
    file.append(b"one", b"f1")
    size = file.keep()
    file.append(b"lost", b"f2")
    file.close()
    again = ExportFile(tmp_path / "x.part")
    assert again.resume(size)
    assert list(again.groups()) == [(4, b"f1")]
    again.append(b"two", b"f3")
    assert list(again.groups()) == [(4, b"f1"), (7, b"f3")]
    assert again.finish(tmp_path / "x.csv") == hashlib.sha256(b"headonetwo").hexdigest()
    assert (tmp_path / "x.csv").read_bytes() == b"headonetwo"
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_file_shorter_than_its_checkpoint_is_begun_anew(file: ExportFile, tmp_path: Path) -> None:
    file.append(b"abc")
    assert not file.resume(4)
    assert file.bytes == 0
    assert (tmp_path / "x.part").read_bytes() == b""


def test_half_a_line_of_the_footers_is_left_out(file: ExportFile, tmp_path: Path) -> None:
    file.append(b"one", b"f1")
    with (tmp_path / "x.groups").open("ab") as side:
        side.write(b"3 5 ab")
    assert file.resume(3)
    assert list(file.groups()) == [(0, b"f1")]


@pytest.mark.usefixtures("file")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    write_small(tmp_path / "x.manifest.json", b"{}")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}
    remove(tmp_path, "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_disk_that_is_full_is_told_by_that_name(
    file: ExportFile, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, "full")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(DiskFull, match="disk is full"):
        file.append(b"x")


def test_disk_that_is_broken_is_no_full_one(
    file: ExportFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnavailable) as caught:
        file.keep()
    assert not isinstance(caught.value, DiskFull)


def test_what_the_store_needs_of_the_disk_is_left_to_it(
    file: ExportFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FREE_BYTES_MIN", 1 << 62)
    file.append(b"x")
    with pytest.raises(DiskFull, match="MiB left"):
        file.keep()
