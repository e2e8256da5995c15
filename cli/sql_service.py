"""The SQL page's way to the store: where no table of ours is, and on a server by its own user."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

from console.sql.desk import SECONDS_MAX, SqlDesk
from runtime.clickhouse import Store
from runtime.settings import StoreSettings

NOWHERE: Final = "default"  # a database of every ClickHouse; none of our tables is in it
GRACE_S: Final = 5.0  # over the statement's own bound, for its answer to arrive


@asynccontextmanager
async def sql_desk(settings: StoreSettings, store: Store) -> AsyncIterator[SqlDesk]:
    """Give what runs people's statements while the block runs; it connects when first asked.

    A name in a statement must mean what the desk defines, or nothing: so the connection's database
    is an empty one, whatever database the DSN names.
    """
    own = settings.sql_dsn or settings.dsn
    dsn = own.get_secret_value()
    if not store.is_embedded:
        dsn = urlsplit(dsn)._replace(path=f"/{NOWHERE}").geturl()
    opened = Store(dsn, database=NOWHERE, timeout_s=SECONDS_MAX + GRACE_S)
    desk = SqlDesk(opened, store.database)
    try:
        yield desk
    finally:
        await asyncio.to_thread(desk.close)
        await asyncio.to_thread(opened.close)
