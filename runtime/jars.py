"""Which jars make up the embedded Kafka, where they lie, and the proof that they are those."""

import hashlib
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from schemas.errors import Misconfigured

LOCK: Final = Path(__file__).with_name("kafka.lock")
CHUNK_BYTES: Final = 1 << 20
_LINE: Final = re.compile(r"([\w.\-]+):([\w.\-]+):([\w.\-]+) ([0-9a-f]{64})")
_CURE: Final = "run `python -m runtime.broker --install`"


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar by its Maven coordinates and the sha256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file in the folder of jars."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def line(self) -> str:
        """How the lock file writes it."""
        return f"{self.group}:{self.artifact}:{self.version} {self.sha256}"


def kafka_home() -> Path:
    """Where the jars live unless told otherwise: inside this Python environment, not in HOME."""
    return Path(sys.prefix) / "kafka"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read a lock file's text; `#` starts a comment line. Raises `Misconfigured` by line number."""
    jars: list[Jar] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise Misconfigured(f"kafka.lock line {number} is not `group:artifact:version sha256`")
        jars.append(Jar(*match.groups()))
    # of one name, or one artifact in two versions: Java takes what comes first on its class path
    names = [jar.file_name for jar in jars] + [f"{jar.group}:{jar.artifact}" for jar in jars]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Misconfigured(f"kafka.lock names {', '.join(twice)} more than once")
    return tuple(jars)


def format_lock(jars: Iterable[Jar]) -> str:
    """Return the lock file's text, sorted, so that two runs over the same jars are equal."""
    head = "# The jars of the embedded Kafka. Made by `python -m runtime.broker --lock`.\n"
    return head + "".join(f"{line}\n" for line in sorted(jar.line for jar in jars))


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """Read the committed lock file. Raises `Misconfigured` when it is absent or damaged."""
    try:
        return parse_lock(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Misconfigured(f"{path} is missing: the package is not whole") from error


def sha256_of(path: Path) -> str:
    """Hash a file without holding it in memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify_jar(path: Path, jar: Jar) -> None:
    """Refuse a file that is not the locked jar. Raises `Misconfigured` naming the jar."""
    have = sha256_of(path)
    if have != jar.sha256:
        raise Misconfigured(
            f"refused {jar.group}:{jar.artifact}:{jar.version}: its sha256 is {have}, "
            f"the lock wants {jar.sha256}; the download was damaged or replaced"
        )


def write_receipt(home: Path, jars: Iterable[Jar]) -> None:
    """Record the sizes of verified jars, so that a start need not hash 40 MB again."""
    listed = tuple(jars)
    receipt = {
        "lock": lock_digest(listed),
        "sizes": {jar.file_name: (home / "libs" / jar.file_name).stat().st_size for jar in listed},
    }
    path = home / "receipt.json"
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    draft.replace(path)


def class_path(home: Path, lock: Path = LOCK) -> tuple[Path, ...]:
    """Return the installed jars of the lock, and no others, in the lock's order.

    Checks presence and size against the receipt of the install, which checked every hash.
    Raises `Misconfigured` naming the first jar that is absent or of another size.
    """
    jars = read_lock(lock)
    try:
        receipt = json.loads((home / "receipt.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Misconfigured(f"Kafka is not installed in {home}: {_CURE}") from error
    except ValueError as error:
        raise Misconfigured(f"{home}/receipt.json is damaged: {_CURE}") from error
    if receipt.get("lock") != lock_digest(jars):
        raise Misconfigured(f"Kafka in {home} is of another kafka.lock: {_CURE}")
    paths = tuple(home / "libs" / jar.file_name for jar in jars)
    for path in paths:
        if not path.is_file() or path.stat().st_size != receipt["sizes"].get(path.name):
            raise Misconfigured(f"{path} is absent or not as it was installed: {_CURE}")
    return paths


def is_installed(home: Path, lock: Path = LOCK) -> bool:
    """Say whether `class_path` would succeed; a damaged lock file still raises."""
    read_lock(lock)
    try:
        class_path(home, lock)
    except Misconfigured:
        return False
    return True


def lock_digest(jars: Iterable[Jar]) -> str:
    """Return what changes when any locked jar does."""
    return hashlib.sha256("\n".join(sorted(jar.line for jar in jars)).encode()).hexdigest()
