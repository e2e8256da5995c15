from pathlib import Path

import pytest

from runtime.jar_download import install
from runtime.jars import (
    Jar,
    class_path,
    format_lock,
    is_installed,
    parse_lock,
    read_lock,
    sha256_of,
    verify_jar,
    write_receipt,
)
from schemas.errors import Misconfigured


def jar(name: str, content: bytes, folder: Path) -> Jar:
    (folder / "libs").mkdir(parents=True, exist_ok=True)
    path = folder / "libs" / f"{name}-1.jar"
    path.write_bytes(content)
    return Jar("org.example", name, "1", sha256_of(path))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    jars = [jar("a", b"one", tmp_path), jar("b", b"two", tmp_path)]
    (tmp_path / "lock").write_text(format_lock(jars))
    write_receipt(tmp_path, jars)
    return tmp_path


def test_the_committed_lock_is_of_one_kafka_4() -> None:
    versions = {j.version for j in read_lock() if j.group == "org.apache.kafka"}
    assert len(versions) == 1
    assert versions.pop().startswith("4.")


def test_a_lock_reads_back_as_it_was_written() -> None:
    jars = read_lock()
    assert parse_lock(format_lock(reversed(jars))) == jars


def test_a_damaged_lock_names_the_line() -> None:
    with pytest.raises(Misconfigured, match="line 2"):
        parse_lock("# head\na:b:1 nothash\n")


def test_two_jars_of_one_file_name_are_refused() -> None:
    with pytest.raises(Misconfigured, match=r"a-1\.jar"):
        parse_lock(f"g:a:1 {'0' * 64}\nh:a:1 {'1' * 64}\n")


def test_one_artifact_in_two_versions_is_refused() -> None:
    with pytest.raises(Misconfigured, match="g:a more than once"):
        parse_lock(f"g:a:1 {'0' * 64}\ng:a:2 {'1' * 64}\n")


def test_a_jar_with_other_bytes_is_refused_by_name(tmp_path: Path) -> None:
    locked = jar("a", b"one", tmp_path)
    (tmp_path / "libs" / "a-1.jar").write_bytes(b"evil")
    with pytest.raises(Misconfigured, match=r"refused org\.example:a:1"):
        verify_jar(tmp_path / "libs" / "a-1.jar", locked)


def test_only_locked_jars_are_on_the_class_path(home: Path) -> None:
    (home / "libs" / "stowaway-1.jar").write_bytes(b"three")
    assert [p.name for p in class_path(home, home / "lock")] == ["a-1.jar", "b-1.jar"]


def test_install_removes_jars_of_an_earlier_lock(home: Path) -> None:
    (home / "libs" / "log4j-0.jar").write_bytes(b"old")
    assert install(home, home / "lock") == 0
    assert sorted(p.name for p in (home / "libs").iterdir()) == ["a-1.jar", "b-1.jar"]


@pytest.mark.parametrize("damage", ["gone", "short", "no receipt", "bad receipt", "other lock"])
def test_an_install_that_is_not_whole_is_told_with_the_cure(home: Path, damage: str) -> None:
    if damage == "gone":
        (home / "libs" / "a-1.jar").unlink()
    elif damage == "short":
        (home / "libs" / "a-1.jar").write_bytes(b"o")
    elif damage == "no receipt":
        (home / "receipt.json").unlink()
    elif damage == "bad receipt":
        (home / "receipt.json").write_text("{")
    else:
        (home / "lock").write_text(format_lock([Jar("g", "c", "1", "0" * 64)]))
    assert not is_installed(home, home / "lock")
    with pytest.raises(Misconfigured, match="--install"):
        class_path(home, home / "lock")
