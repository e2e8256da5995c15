"""The lookups' files: read at the start, and the directory again whenever it changes. Impure."""

import logging
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from pipeline.client import ClientParser
from pipeline.directory import BYTES_MAX, EMPTY, Directory, parse_directory
from pipeline.enrich import Lookups
from pipeline.geo import open_geo
from pipeline.policy import Policy, parse_policy
from schemas.errors import Misconfigured

POLICY_FILE: Final = "policy.yml"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LookupPaths:
    """Where the files are; what is not given comes from the packages, or is empty."""

    policy: Path | None = None
    geo: tuple[Path, ...] = ()
    directory: Path | None = None


def default_policy() -> Policy:
    """Return the policy that is shipped."""
    return parse_policy(POLICY_FILE, files("pipeline").joinpath(POLICY_FILE).read_bytes())


class LookupFiles:
    """Reads the files, and tells when the directory has become another.

    `refused` counts new directories that were no good: the old one goes on.
    """

    def __init__(self, paths: LookupPaths) -> None:
        self._paths = paths
        self._seen: tuple[int, int, int] | None = None
        self.refused = 0
        policy = default_policy() if paths.policy is None else _read_policy(paths.policy)
        self._seen = self._look()
        self.lookups = Lookups(policy, open_geo(paths.geo), ClientParser(), self._read_directory())

    def refresh(self) -> Lookups | None:
        """Return new lookups if the directory's file has changed, else None. Never raises for it.

        Call it every few seconds: it costs one `stat`.
        """
        seen = self._look()
        if seen == self._seen:
            return None
        self._seen = seen  # a broken file is reported once, not at every look
        try:
            directory = self._read_directory()
        except Misconfigured as error:
            self.refused += 1
            log.warning("the old directory goes on: %s", error)
            return None
        if directory.version == self.lookups.directory.version:
            return None
        self.lookups = replace(self.lookups, directory=directory)
        return self.lookups

    def _look(self) -> tuple[int, int, int] | None:
        if self._paths.directory is None:
            return None
        try:
            status = self._paths.directory.stat()
        except OSError:
            return (0, 0, 0)  # away: reading it says so
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def _read_directory(self) -> Directory:
        path = self._paths.directory
        if path is None:
            return EMPTY
        return parse_directory(path.name, _read(path, "directory", BYTES_MAX))


def _read_policy(path: Path) -> Policy:
    return parse_policy(path.name, _read(path, "policy", BYTES_MAX))


def _read(path: Path, what: str, bytes_max: int) -> bytes:
    """Read one byte more than may be, so that the parser can refuse what is too large."""
    try:
        with path.open("rb") as file:
            return file.read(bytes_max + 1)
    except OSError as error:
        raise Misconfigured(f"{what}: {path.name} can't be read: {error.strerror}") from error
