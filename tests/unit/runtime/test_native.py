"""The native library is unpacked once, whole, from the jar of the lock."""

import platform
import sys
import zipfile
from pathlib import Path

import pytest

from runtime.jars import read_lock
from runtime.native import unpack_zstd, zstd_library
from schemas.errors import Misconfigured


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    jar = next(jar for jar in read_lock() if jar.artifact == "zstd-jni")
    (tmp_path / "libs").mkdir()
    with zipfile.ZipFile(tmp_path / "libs" / jar.file_name, "w") as made:
        made.writestr(f"linux/amd64/libzstd-jni-{jar.version}.so", b"library")
    return tmp_path


def library_of(home: Path) -> Path:
    library = zstd_library(home)
    assert library is not None
    return library


def test_the_library_is_unpacked_and_again_when_it_was_cut_short(home: Path) -> None:
    unpack_zstd(home)
    assert library_of(home).read_bytes() == b"library"
    before = library_of(home).stat().st_ino
    unpack_zstd(home)
    assert library_of(home).stat().st_ino == before
    library_of(home).write_bytes(b"lib")
    unpack_zstd(home)
    assert library_of(home).read_bytes() == b"library"
    assert sorted(path.name for path in home.iterdir()) == ["libs", "native"]


def test_a_machine_without_a_library_is_left_to_java(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    unpack_zstd(home)
    assert zstd_library(home) is None
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    unpack_zstd(home)
    assert not library_of(home).exists()


def test_a_damaged_jar_is_told(home: Path) -> None:
    next((home / "libs").iterdir()).write_bytes(b"no zip")
    with pytest.raises(Misconfigured, match="can't unpack zstd-jni"):
        unpack_zstd(home)
