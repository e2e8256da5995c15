"""A process that exports and is killed: FOLDER FORMAT PAUSE_S; says a line for each piece.

The store, the state and the files are in the folder; what was begun there goes on.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from console.access import Principal
from console.state import State
from consumers.migrate import migrate
from runtime.clickhouse import Store
from schemas.export import ExportAsked
from tests.integration.api.exporting import Office, fill

WHO = Principal("service-token", frozenset({"analyst"}))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def work(folder: Path, form: Any, pause_s: float) -> None:
    with Store(f"chdb://{folder / 'store'}") as store:
        if not (folder / "filled").exists():
            migrate(store)
            fill(store)
            (folder / "filled").touch()
        state = State(folder / "console.sqlite3")
        await state.open()
        office = Office(store, state, folder / "exports", piece_bytes=60_000)
        if not await office.open():
            await office.desk.order(WHO, ExportAsked(format=form))
        worker = office.worker()

        class Slow(type(worker)):  # type: ignore[misc]
            __slots__ = ()

            async def give_way(self, stop: asyncio.Event) -> None:
                assert not stop.is_set()
                say("piece")
                await asyncio.sleep(pause_s)

        slow = Slow(worker.api, worker.desk, worker.is_too_broad, worker.piece_bytes, 0)
        await office.work(slow)
        (job,) = (await office.desk.listed(WHO))[:1]
        say(f"done {job.state} {job.id} {job.error}")
        office.close()
        await state.close()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
