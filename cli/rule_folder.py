"""Files of rules: those that ship with us, and those in folders; tests and exceptions apart."""

import os
import stat
from collections.abc import Iterable, Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from detections.sigma.documents import FILE_BYTES_MAX
from detections.sigma.ruleset import RuleFile
from schemas.errors import Misconfigured

FILES_MAX: Final = 100_000  # SigmaHQ has about 4,000
DEPTH_MAX: Final = 16  # of folders
SUFFIXES: Final = (".yml", ".yaml")
TEST_SUFFIXES: Final = (".test.yml", ".test.yaml")
EXCEPTIONS: Final = "exceptions"  # the folder of them, in a folder of rules
SHIPPED: Final = "shipped"


class Folder(NamedTuple):
    """All that a folder of rules holds."""

    rules: tuple[RuleFile, ...]
    tests: tuple[RuleFile, ...]
    exceptions: tuple[RuleFile, ...]

    def __add__(self, other: object) -> "Folder":
        """Return both folders as one."""
        if not isinstance(other, Folder):
            return NotImplemented
        return Folder(
            self.rules + other.rules,
            self.tests + other.tests,
            self.exceptions + other.exceptions,
        )


NO_RULES: Final = Folder((), (), ())


def shipped() -> Folder:
    """Return the rules that come with the program."""
    return _sorted_out(SHIPPED, _walk(files("detections") / "rules", SHIPPED, 0))


def read_folders(paths: Iterable[Path]) -> Folder:
    """Read folders, or single files, one after the other. Raises `Misconfigured`."""
    folder = NO_RULES
    for path in paths:
        folder += read_folder(path)
    return folder


def read_folder(path: Path) -> Folder:
    """Read a folder with all that lies in it, or one file and its tests. Raises `Misconfigured`."""
    try:
        if path.is_dir():
            return _sorted_out(str(path), _walk(path, str(path), 0))
        found = [RuleFile(str(path), _read(path))]
        beside = path.with_name(test_name(path.name))
        if beside != path and beside.is_file():
            found.append(RuleFile(str(beside), _read(beside)))
    except OSError as error:
        raise Misconfigured(f"rules in {path}: {error.strerror}") from error
    return _sorted_out(str(path.parent), found)


def test_name(name: str) -> str:
    """Return what the file of a rule's tests is called."""
    if name.endswith(TEST_SUFFIXES):
        return name
    stem = name.removesuffix(".yml").removesuffix(".yaml")
    return f"{stem}{TEST_SUFFIXES[0]}"


def _walk(folder: Traversable, shown: str, depth: int) -> Iterator[RuleFile]:
    if depth > DEPTH_MAX:
        raise Misconfigured(f"rules in {shown}: folders lie more than {DEPTH_MAX} deep")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = f"{shown}/{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, name, depth + 1)
        elif entry.name.endswith(SUFFIXES):
            # what ships may lie in an archive, and nobody but us put it there
            text = _read(entry) if isinstance(entry, Path) else entry.read_bytes()
            yield RuleFile(name, text)


def _read(path: Path) -> bytes:
    """Read a file of any kind and size without harm: a byte more than may be tells of too much.

    Raises `Misconfigured` for what is no regular file, `OSError` for what can't be read.
    """
    # opening a FIFO would otherwise wait for somebody to write to it
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(number, "rb") as file:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise Misconfigured(f"rules in {path}: not a regular file")
        return file.read(FILE_BYTES_MAX + 1)


def _sorted_out(root: str, found: Iterable[RuleFile]) -> Folder:
    rules, tests, exceptions = [], [], []
    for count, file in enumerate(found):
        if count >= FILES_MAX:
            raise Misconfigured(f"more than {FILES_MAX:,} files of rules")
        if file.path.endswith(TEST_SUFFIXES):
            tests.append(file)
        elif f"/{EXCEPTIONS}/" in file.path.removeprefix(root):
            exceptions.append(file)
        else:
            rules.append(file)
    return Folder(tuple(rules), tuple(tests), tuple(exceptions))
