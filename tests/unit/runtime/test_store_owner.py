import fcntl
from pathlib import Path

from runtime.store_owner import is_owned, wait_for_owner


def test_store_that_nobody_has_is_free(tmp_path: Path) -> None:
    assert wait_for_owner(tmp_path, 0)
    (tmp_path / "status").touch()
    assert wait_for_owner(tmp_path, 0)


def test_store_of_another_is_waited_for_until_it_is_let_go(tmp_path: Path) -> None:
    with (tmp_path / "status").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_owned(tmp_path)
        assert not wait_for_owner(tmp_path, 0.01)
    assert wait_for_owner(tmp_path, 0)
