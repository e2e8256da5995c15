"""The native zstd library of the embedded Kafka, unpacked once where its jars are.

Left to itself Java unpacks it at the first batch, into the data folder; when that disk is full
just then, every compressed batch fails for as long as the process lives.
"""

import platform
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from runtime.jars import read_lock
from schemas.errors import Misconfigured

ARTIFACT: Final = "zstd-jni"
_SYSTEMS: Final = {"linux": ("linux", "so"), "darwin": ("darwin", "dylib")}
_MACHINES: Final = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "aarch64",
    "arm64": "aarch64",
}


def zstd_library(home: Path) -> Path | None:
    """Return where the library is once unpacked; None where the jar has none for this machine."""
    found = _jar_and_member()
    return home / "native" / Path(found[1]).name if found is not None else None


def unpack_zstd(home: Path) -> None:
    """Unpack it from its installed jar. Idempotent, and whole or not at all.

    Raises `Misconfigured` when the folder can't be written or the jar is damaged.
    """
    found, library = _jar_and_member(), zstd_library(home)
    if found is None or library is None:
        return
    try:
        with zipfile.ZipFile(home / "libs" / found[0]) as jar:
            if found[1] not in jar.namelist():
                return
            if library.exists() and library.stat().st_size == jar.getinfo(found[1]).file_size:
                return
            content = jar.read(found[1])
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="unpack-", dir=home) as folder:
            draft = Path(folder) / library.name
            draft.write_bytes(content)
            draft.replace(library)
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Misconfigured(f"can't unpack {ARTIFACT} in {home}: {reason}") from error


def _jar_and_member() -> tuple[str, str] | None:
    system, machine = _SYSTEMS.get(sys.platform), _MACHINES.get(platform.machine().lower())
    jar = next((jar for jar in read_lock() if jar.artifact == ARTIFACT), None)
    if system is None or machine is None or jar is None:
        return None
    folder, extension = system
    return jar.file_name, f"{folder}/{machine}/lib{ARTIFACT}-{jar.version}.{extension}"
