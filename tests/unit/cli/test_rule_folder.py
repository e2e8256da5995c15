"""What lies in a folder of rules is read without harm, whatever it is."""

import os
from pathlib import Path

import pytest

from cli.rule_folder import read_folder
from detections.sigma.documents import FILE_BYTES_MAX
from detections.sigma.load import load_rules
from schemas.errors import Misconfigured


def test_file_that_is_too_long_is_read_no_further_than_that_shows(tmp_path: Path) -> None:
    with (tmp_path / "big.yml").open("wb") as file:
        file.truncate(64 * FILE_BYTES_MAX)
    folder = read_folder(tmp_path)
    assert [len(file.text) for file in folder.rules] == [FILE_BYTES_MAX + 1]
    (refusal,) = load_rules(folder.rules).refusals
    assert "larger than" in str(refusal)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["pipe.yml", "pipe.test.yml", "exceptions/pipe.yml"])
@pytest.mark.parametrize("is_alone", [True, False])
def test_fifo_is_refused_by_name_and_not_waited_for(
    tmp_path: Path, name: str, *, is_alone: bool
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(Misconfigured, match=r"pipe.*not a regular file"):
        read_folder(path if is_alone else tmp_path)
