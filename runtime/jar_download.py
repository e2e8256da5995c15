"""Fetches the jars of the embedded Kafka by their Maven coordinates, and makes the lock file.

Apart from `runtime.jars`, because only an install needs a Maven client in its memory.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import requests
from jgo.maven import MavenContext
from jgo.parse import Coordinate

from runtime.jars import (
    LOCK,
    Jar,
    format_lock,
    is_installed,
    kafka_home,
    read_lock,
    sha256_of,
    verify_jar,
    write_receipt,
)
from schemas.errors import AuditError, Misconfigured, Unavailable

ROOTS: Final = (  # what the lock is made from; everything else comes in through these
    "org.apache.kafka:kafka_2.13:4.3.0",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",  # of the log4j that Kafka brings
)
DOWNLOADS_AT_ONCE: Final = 6  # 46 small files: latency rules, and the host is a shared one
ATTEMPTS_MAX: Final = 3
SCOPES: Final = ("compile", "runtime")


def install(home: Path, lock: Path = LOCK) -> int:
    """Bring every locked jar into `home` and verify it; return how many were fetched.

    Idempotent; jars that are there and right stay, those of no lock go. Raises `Misconfigured`
    naming a jar whose bytes are not the locked ones, or a folder that can't be written;
    `Unavailable` when a jar can't be fetched. Whatever was verified before the error stays and is
    not fetched again.
    """
    jars = read_lock(lock)
    libs = home / "libs"
    try:
        libs.mkdir(parents=True, exist_ok=True)
        _remove_strays(libs, jars)
        if is_installed(home, lock):
            return 0
        missing = [jar for jar in jars if not _is_right(libs, jar)]
        with (
            tempfile.TemporaryDirectory(prefix="fetch-", dir=home) as folder,
            ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
        ):
            context = MavenContext(repo_cache=Path(folder))
            list(pool.map(lambda jar: _fetch(context, jar, libs), missing))
        write_receipt(home, jars)
    except OSError as error:
        raise Misconfigured(f"can't install Kafka in {home}: {error.strerror or error}") from error
    return len(missing)


def resolve(roots: Iterable[str] = ROOTS) -> tuple[Jar, ...]:
    """Ask Maven which jars the roots need, and hash each.

    One root at a time, the first to name a jar wins: resolved together, log4j's list of managed
    versions would put kafka-clients 3.9 under a Kafka 4 (seen with jgo 3.2).
    """
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder))
        jars: dict[str, Jar] = {}
        for root in roots:
            wanted = context.create_dependency(replace(Coordinate.parse(root), scope="compile"))
            direct, transitive = context.resolver.resolve([wanted])
            for found in [*direct, *(other for other in transitive if other.scope in SCOPES)]:
                a = found.artifact
                name = f"{a.groupId}:{a.artifactId}"
                if name not in jars:
                    jars[name] = Jar(a.groupId, a.artifactId, a.version, sha256_of(a.resolve()))
        return tuple(jars.values())


def _remove_strays(libs: Path, jars: Iterable[Jar]) -> None:
    """Remove jars of an earlier lock: they are not on the class path, and only mislead."""
    names = {jar.file_name for jar in jars}
    for path in libs.glob("*.jar"):
        if path.name not in names:
            path.unlink()


def _is_right(libs: Path, jar: Jar) -> bool:
    path = libs / jar.file_name
    return path.is_file() and sha256_of(path) == jar.sha256


def _fetch(context: MavenContext, jar: Jar, libs: Path) -> None:
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    for attempt in range(1, ATTEMPTS_MAX + 1):
        artifact = component.artifact()
        try:
            path = Path(artifact.resolve())
            break
        except (requests.RequestException, RuntimeError) as error:
            shutil.rmtree(Path(artifact.cached_path).parent, ignore_errors=True)
            if attempt == ATTEMPTS_MAX:
                raise Unavailable(
                    f"can't fetch {jar.group}:{jar.artifact}:{jar.version} "
                    f"({type(error).__name__}); is the network there? Try again"
                ) from error
    else:  # pragma: no cover - the last attempt either breaks or raises
        raise AssertionError
    verify_jar(path, jar)
    path.replace(libs / jar.file_name)


def main(argv: list[str]) -> int:
    """Install, or with `--lock` make the lock file anew."""
    parser = argparse.ArgumentParser(prog="python -m runtime.jar_download", description=__doc__)
    parser.add_argument("--lock", action="store_true", help="write kafka.lock from the roots")
    parser.add_argument("--home", type=Path, default=kafka_home(), help="where the jars go")
    options = parser.parse_args(argv)
    try:
        if options.lock:
            jars = resolve()
            LOCK.write_text(format_lock(jars), encoding="utf-8")
            sys.stdout.write(f"{LOCK.name}: {len(jars)} jars\n")
        else:
            count = install(options.home)
            sys.stdout.write(f"Kafka is installed in {options.home} ({count} jars fetched)\n")
    except AuditError as error:
        sys.stderr.write(f"{error}\n")
        return 2 if isinstance(error, Misconfigured) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
