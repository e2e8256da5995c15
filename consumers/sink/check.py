"""The boot self-test: the store's guards are tried, not believed."""

import json
import re
import uuid
from typing import Final

from consumers.sink.entry import DEADLINE
from runtime.clickhouse import Store
from runtime.line_insert import Stamp
from runtime.store_errors import DeadlinePassed
from schemas.errors import Misconfigured
from schemas.tables import BATCHES, EVENTS, QUARANTINE

CANARIES: Final = "canaries"
SKEW_S_MAX: Final = 10  # the server's clock decides on deadlines that ours sets
_WINDOW: Final = re.compile(r"(?:non_replicated|replicated)_deduplication_window = (\d+)")
_TRANSPORT: Final = frozenset({"wait_end_of_query"})  # of HTTP, unknown to the engine
_GUARDED: Final = {
    EVENTS: ("CONSTRAINT writer_is_fresh", "CONSTRAINT tenant_present"),
    QUARANTINE: ("CONSTRAINT writer_is_fresh",),
    BATCHES: (),
}


def check(store: Store, *, now_s: int, deadline_s: int) -> None:
    """Refuse to begin unless every guard of exactly-once stands. Changes only the canaries.

    Raises `Misconfigured` naming the guard and the cure.
    """
    _check_settings(store)
    _check_tables(store)
    _check_clock(store, now_s)
    _check_canary(store, now_s + deadline_s)


def _check_settings(store: Store) -> None:
    """Each insert setting must exist and take our value: a server that ignores one can lose."""
    settings = store.stamped_settings
    names = [name for name in settings if name not in _TRANSPORT]
    want = {name: settings[name] for name in names}
    rows = store.query_rows(
        "SELECT name, value FROM system.settings WHERE name IN {names:Array(String)}",
        {"names": names},
        want,
    )
    have = {str(name): str(value) for name, value in rows}
    for name in names:
        if have.get(name) != str(want[name]):
            raise Misconfigured(
                f"the store has setting {name} = {have.get(name, 'unknown')}, the sink needs "
                f"{want[name]}: use ClickHouse 26, and lift the constraint on it in the profile"
            )


def _check_tables(store: Store) -> None:
    rows = store.query_rows(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}",
        {"database": store.database},
    )
    tables = {str(name): str(ddl) for name, ddl in rows}
    for table, guards in _GUARDED.items():
        ddl = tables.get(table, "")
        if not ddl:
            raise Misconfigured(f"table {table} is missing: run `audit migrate`")
        for guard in guards:
            if guard not in ddl:
                raise Misconfigured(f"table {table} lacks {guard}: restore it as migrated")
        if not any(int(window) > 0 for window in _WINDOW.findall(ddl)):
            raise Misconfigured(f"table {table} remembers no tokens: restore its settings")


def _check_clock(store: Store, now_s: int) -> None:
    skew_s = abs(int(store.query_rows("SELECT toUnixTimestamp(now())")[0][0]) - now_s)
    if skew_s > SKEW_S_MAX:
        raise Misconfigured(f"the store's clock is {skew_s} s off: synchronise both machines")


def _check_canary(store: Store, deadline_s: int) -> None:
    """Try it: one token twice gives one row; an expired deadline is refused."""
    name = str(uuid.uuid4())
    for _ in range(2):
        _put(store, name, Stamp(DEADLINE, deadline_s), "")
    query = f"SELECT count() FROM {CANARIES} WHERE id = {{id:String}}"
    count = int(store.query_rows(query, {"id": name})[0][0])
    if count != 1:
        raise Misconfigured(
            f"the store wrote one token's row {count} times: check its deduplication settings"
        )
    try:
        _put(store, name, Stamp(DEADLINE, 1), ":late")
    except DeadlinePassed:
        return
    raise Misconfigured("the store took a row after its deadline: restore its constraints")


def _put(store: Store, name: str, deadline: Stamp, suffix: str) -> None:
    line = json.dumps({"id": name}).encode()
    store.insert_stamped(CANARIES, ("id",), (line,), deadline, f"canary:{name}{suffix}")
