"""The lookups' files on a real disk: a directory that changes, breaks, goes and comes."""

import os
from pathlib import Path

import pytest

from pipeline.directory import NOBODY, Person
from pipeline.lookups import LookupFiles, LookupPaths
from schemas.errors import Misconfigured


def write(path: Path, text: str) -> None:
    """Replace the file as an editor does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.yml"
    path.write_text("bob: {role: agent}\n")
    return path


def test_a_directory_is_read_again_when_it_changes(path: Path) -> None:
    lookups = LookupFiles(LookupPaths(directory=path))
    first = lookups.lookups
    assert lookups.refresh() is None

    write(path, "bob: {role: admin}\n")
    second = lookups.refresh()

    assert second is not None
    assert (first.directory.find("bob"), second.directory.find("bob")) == (
        Person("agent"),
        Person("admin"),
    )
    assert first.version != second.version
    assert second.policy is first.policy
    assert lookups.refresh() is None


def test_a_broken_directory_is_refused_once_and_the_old_one_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lookups = LookupFiles(LookupPaths(directory=path))

    write(path, "bob: {role: [s3cret]}\n")

    assert lookups.refresh() is None
    assert lookups.refresh() is None
    assert lookups.refused == 1
    assert lookups.lookups.directory.find("bob") == Person("agent")
    assert "s3cret" not in caplog.text
    path.unlink()
    assert lookups.refresh() is None
    assert lookups.refused == 2
    write(path, "eve: {}\n")
    fresh = lookups.refresh()
    assert fresh is not None
    assert fresh.directory.find("bob") == NOBODY


def test_a_touched_file_of_the_same_content_changes_nothing(path: Path) -> None:
    lookups = LookupFiles(LookupPaths(directory=path))
    os.utime(path, (1, 1))
    assert lookups.refresh() is None
    assert lookups.refused == 0


@pytest.mark.parametrize("field", ["policy", "geo", "directory"])
def test_a_file_that_is_not_there_at_the_start_is_named(tmp_path: Path, field: str) -> None:
    away = tmp_path / "away.bin"
    paths = LookupPaths(**{field: (away,) if field == "geo" else away})  # type: ignore[arg-type]
    with pytest.raises(Misconfigured, match=r"away\.bin"):
        LookupFiles(paths)


def test_a_file_that_is_no_mmdb_is_named(path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"people\.yml"):
        LookupFiles(LookupPaths(geo=(path,)))
