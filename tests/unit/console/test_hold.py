"""One console a data folder: a second process is refused and told why."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from console.state import State
from schemas.errors import Misconfigured

OPENING = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from console.state import State
    from schemas.errors import Misconfigured

    async def main():
        state = State(Path(sys.argv[1]))
        try:
            await state.open()
        except Misconfigured as error:
            print(error)
        else:
            print("open", flush=True)
            sys.stdin.read()
        await state.close()

    asyncio.run(main())
    """
)


def other(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPENING, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def said_by_another(path: Path) -> str:
    with other(path) as process:
        said, _ = await asyncio.to_thread(process.communicate)
    return said


async def test_a_second_console_on_one_data_folder_is_refused_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "console.sqlite3"
    first, outbox = State(path), State(path)  # one console has several
    await first.open()
    await outbox.open()
    said = await said_by_another(path)
    assert f"another console has {path} open: stop it" in said
    await first.close()
    assert "another console" in await said_by_another(path)
    await outbox.close()
    assert await said_by_another(path) == "open\n"


async def test_a_console_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "console.sqlite3"
    state = State(path)
    with other(path) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "open\n"
        with pytest.raises(Misconfigured, match="another console"):
            await state.open()
        process.kill()
        await asyncio.to_thread(process.wait)
    await state.open()
    await state.close()


async def test_a_hold_that_can_not_be_had_is_said(tmp_path: Path) -> None:
    path = tmp_path / "console.sqlite3"
    (tmp_path / "console.sqlite3.lock").mkdir()
    with pytest.raises(Misconfigured, match="can't be opened"):
        await State(path).open()
