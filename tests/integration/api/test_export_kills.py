import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KILLS = 3
PIECES = 3  # of some ten, before each kill


def start(folder: Path, form: str, pause_s: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.integration.api.export_process", str(folder), form]
    return subprocess.Popen(
        [*argv, str(pause_s)], cwd=ROOT, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def finish(folder: Path, form: str) -> Path:
    with start(folder, form, 0) as process:
        assert process.stdout is not None
        last = process.stdout.read().splitlines()[-1].split()
    assert last[:2] == ["done", "done"], last
    return folder / "exports" / f"{last[2]}.{form}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_killed_again_and_again_the_file_is_that_of_an_undisturbed_run(
    form: str, tmp_path: Path
) -> None:
    undisturbed = finish(tmp_path, form).read_bytes()
    seen = set()
    for _ in range(KILLS):
        with start(tmp_path, form, 0.1) as process:
            assert process.stdout is not None
            for _ in range(PIECES):
                line = process.stdout.readline()
                assert line.startswith("piece"), line
            process.kill()
        (part,) = (tmp_path / "exports").glob("*.part")
        seen.add(part.stat().st_size)
    resumed = finish(tmp_path, form)
    assert len(seen) > 1  # it went on, and did not begin anew each time
    assert resumed.read_bytes() == undisturbed
    assert not list((tmp_path / "exports").glob("*.part"))
    assert not list((tmp_path / "exports").glob("*.groups"))
