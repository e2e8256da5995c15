"""The store: ClickHouse in this process (chDB) or a server, behind the one driver's adapter."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from runtime.line_insert import (
    COLUMNS_SQL,
    Form,
    Settings,
    Stamp,
    form_of,
    insert_from_file,
    text_file,
)
from runtime.store_address import StoreAddress, parse_dsn
from runtime.store_errors import BOUND_CODES, ENDED, translated, without_text
from schemas.errors import AuditError, Misconfigured
from schemas.tables import DATABASE

Row = dict[str, Any]
Parameters = Mapping[str, Any] | None

# Facts 2, 4 and 8 of the sink: one batch is one part under one token, whatever the defaults of
# this server's version are. The block limits are far over what the sink's cutter lets through.
ROWS_PER_BLOCK: Final = 65_536
BYTES_PER_BLOCK: Final = 268_435_456
INSERT_SETTINGS: Final[Settings] = {
    "async_insert": 0,
    "wait_end_of_query": 1,
    "deduplicate_insert": "enable",
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_partitions_per_insert_block": 1,
    "throw_on_max_partitions_per_insert_block": 1,
    "max_insert_block_size": ROWS_PER_BLOCK,
    "max_insert_block_size_bytes": BYTES_PER_BLOCK,
    "min_insert_block_size_rows": ROWS_PER_BLOCK,
    "min_insert_block_size_bytes": BYTES_PER_BLOCK,
    "max_insert_threads": 1,
    "input_format_parallel_parsing": 0,  # order of rows in the part, and less memory
    "input_format_skip_unknown_fields": 0,  # a column that we don't know is a bug, not noise
    "input_format_defaults_for_omitted_fields": 1,
    "input_format_null_as_default": 0,
    "date_time_input_format": "basic",
    "insert_quorum_parallel": 0,
}

# The engine in this process reads lines through a SELECT: a text read straight into LowCardinality
# costs it a column a value, a third of the whole insert. Still one block, of one reader, in order.
SELECT_SETTINGS: Final[Settings] = {
    "deduplicate_insert_select": "enable_even_for_bad_queries",  # by the token, as any insert
    "max_block_size": ROWS_PER_BLOCK,
    "input_format_max_block_size_bytes": 0,
    "input_format_max_block_wait_ms": 0,
    "parallelize_output_from_storages": 0,
    "storage_file_read_method": "pread",
    "max_threads": 1,
}

# The engine shares its process with the sink, the alerts and the console: its caches, pools and
# queries are bounded so that the whole stays under 700 MiB (docs/performance.md has the row).
ENGINE_OPTIONS: Final[Settings] = {
    "mark_cache_size": 16_777_216,
    "index_mark_cache_size": 8_388_608,
    "primary_index_cache_size": 8_388_608,
    "query_condition_cache_size": 4_194_304,
    "text_index_tokens_cache_size": 1_048_576,
    "vector_similarity_index_cache_size": 1_048_576,
    "mmap_cache_size": 16,
    "max_thread_pool_size": 200,
    "merges_mutations_memory_usage_soft_limit": 134_217_728,
}
# The engine's allocator reads this when the library is loaded, at the first connection. Two arenas
# however many cores, and freed pages back to the system within a second: 60 MiB less.
ALLOCATOR: Final = "JE_MALLOC_CONF"
ALLOCATOR_OPTIONS: Final = "percpu_arena:disabled,narenas:2,dirty_decay_ms:500"
QUERY_MEMORY_BYTES_MAX: Final = 268_435_456
QUERY_SECONDS_MAX: Final = 30

# Both log whole addresses, with a query's parameters in them, when a connection breaks; what went
# wrong is in the error that we raise.
for _name in ("urllib3.connectionpool", "clickhouse_connect.driver._backend.http_sync"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class Store:
    """One database of one ClickHouse; safe to use from several threads, one client for each.

    `dsn` is `chdb:///path` or `clickhouse[s]://user:password@host:port/database`. A chDB path
    belongs to one process, and that process must never fork after opening it. Every method
    raises `StoreUnavailable` if trying again can help, `Misconfigured` if the operator must act
    and `Broken` if the server refuses the statement or its data; no message holds a value.
    """

    def __init__(
        self, dsn: str, *, database: str = DATABASE, timeout_s: float = 30.0, threads_max: int = 2
    ) -> None:
        """Check the DSN, as `parse_dsn` does; the first call connects.

        `timeout_s` bounds one exchange over HTTP.
        """
        self._address = parse_dsn(dsn)
        self.is_embedded: Final = self._address.is_embedded
        self.database: Final = self._address.database or database
        self._timeout_s = timeout_s
        self._threads_max = threads_max
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: list[Client] = []
        self._forms: dict[tuple[str, tuple[str, ...]], Form] = {}

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    @property
    def name(self) -> str:
        """Where the store is, without user and password."""
        if self.is_embedded:
            return f"chdb://{self._address.path}"
        address = self._address
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{address.scheme}://{host}:{address.port}/{self.database}"

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> list[Row]:
        """Run a SELECT; `{name:Type}` in it takes `parameters[name]`. One dict a row."""
        result = self._select(sql, parameters, settings)
        return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]

    def query_rows(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> list[tuple[Any, ...]]:
        """Run a SELECT as `query` does; one tuple a row."""
        return [tuple(row) for row in self._select(sql, parameters, settings).result_rows]

    def raw(
        self, sql: str, parameters: Parameters = None, *, fmt: str, settings: Settings | None = None
    ) -> bytes:
        """Run a SELECT and return what the store itself writes in a format, all of it in memory."""
        asked = {"parameters": dict(parameters or {}), "settings": dict(settings or {})}
        with self._asking("query") as client:
            found: bytes = client.raw_query(sql, **asked, fmt=fmt)
        return found

    def complaint(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> str:
        """Return what the server has against a statement, in its own words; "" if nothing.

        Only for whoever wrote the statement: the server's words quote it.
        """
        with self._asking("query") as client:
            try:
                client.query(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))
            except ClickHouseError as error:
                code = getattr(error, "code", None)
                if code is None or code in BOUND_CODES:
                    raise
                self._drop(client)
                return str(error)
        return ""

    def insert_lines(
        self,
        table: str,
        columns: Sequence[str],
        lines: bytes,
        token: str,
        settings: Settings | None = None,
    ) -> None:
        """Write rows given as JSON lines, as one part, at most once under this `token`.

        An error never means that nothing was written, except `DeadlinePassed`: repeat the very
        same bytes with the same token, or look first.
        """
        asked = {**INSERT_SETTINGS, "insert_deduplication_token": token, **(settings or {})}
        with self._asking(table) as client:
            client.raw_insert(table, columns, lines, asked, fmt="JSONEachRow")

    @property
    def stamped_settings(self) -> Settings:
        """What `insert_stamped` sets; each must exist and take its value."""
        return {**INSERT_SETTINGS, **SELECT_SETTINGS} if self.is_embedded else INSERT_SETTINGS

    def insert_stamped(
        self, table: str, columns: Sequence[str], lines: Sequence[bytes], stamp: Stamp, token: str
    ) -> None:
        """Write JSON objects, one a line, and the stamp in each row; else as `insert_lines`."""
        if not self.is_embedded:
            start = b'{"%b":%d,' % (stamp.column.encode(), stamp.unix_s)
            body = b"\n".join([start + line[1:] for line in lines])
            self.insert_lines(table, (stamp.column, *columns), body, token)
            return
        settings = {**self.stamped_settings, "insert_deduplication_token": token}
        form = self._form(table, columns)
        with self._asking(table) as client, text_file(lines) as path:
            client.command(insert_from_file(table, form, path, stamp, settings))

    def _form(self, table: str, columns: Sequence[str]) -> Form:
        """Ask once for the columns' types and defaults; a table changes only by migration."""
        form = self._forms.get((table, tuple(columns)))
        if form is None:
            rows = self.query_rows(COLUMNS_SQL, {"table": table, "columns": list(columns)})
            form = self._forms[table, tuple(columns)] = form_of(rows)
        return form

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns no rows."""
        with self._asking(sql.split("(", 1)[0].strip()[:80]) as client:
            client.command(sql, parameters=dict(parameters or {}))

    def create_database(self) -> None:
        """Make the database if it isn't there; any number may do so at once."""
        client = self._connect(database=None)
        try:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self.database}`")
        except (ClickHouseError, OSError) as error:
            raise translated(error, "CREATE DATABASE") from without_text(error)
        finally:
            client.close()

    def close(self) -> None:
        """Close every thread's connection. Idempotent; calls must have ended before."""
        with self._lock:
            clients, self._clients = self._clients, []
            self._local = threading.local()
        for client in clients:
            client.close()

    def _select(
        self, sql: str, parameters: Mapping[str, Any] | None, settings: Settings | None
    ) -> Any:  # noqa: ANN401 - the driver's own untyped result, used in this class only
        asked = dict(settings or {})
        began_s = time.monotonic()
        with self._asking("query") as client:
            found = client.query(sql, parameters=dict(parameters or {}), settings=asked)
            bound_s = float(asked.get("max_execution_time", QUERY_SECONDS_MAX))
            is_late = time.monotonic() - began_s >= bound_s
            if self.is_embedded and is_late and not found.result_rows:
                # chDB 4.4 sometimes loses the error of a query that it ends at its bound
                raise ENDED
        return found

    @contextmanager
    def _asking(self, what: str) -> Iterator[Client]:
        """Give this thread's client; what goes wrong is translated.

        After an error a connection of chDB 4.4 is not to be trusted: the next query on it may get
        the answer of the one that was ended, which is another's. So it is used no more.
        """
        client = self._client()
        is_well = False
        try:
            yield client
            is_well = True
        except (ClickHouseError, OSError) as error:
            raise translated(error, what) from without_text(error)
        finally:
            if not is_well:
                self._drop(client)

    def _drop(self, client: Client) -> None:
        """Close a client of the engine in this process; the thread's next call opens another."""
        if not self.is_embedded:
            return
        self._local.client = None
        with self._lock:
            if client in self._clients:
                self._clients.remove(client)
        client.close()

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._connect(database=self.database)
            self._local.client = client
            with self._lock:
                self._clients.append(client)
        return client

    def _connect(self, *, database: str | None) -> Client:
        settings = {
            "max_threads": self._threads_max,
            "max_memory_usage": 0,
            "max_execution_time": QUERY_SECONDS_MAX,
            "session_timezone": "UTC",
        }
        try:
            if self.is_embedded:
                # the library has no other way to be told
                os.environ.setdefault(ALLOCATOR, ALLOCATOR_OPTIONS)  # noqa: TID251
                return clickhouse_connect.get_client(
                    dsn=f"chdb://{self._address.path}",
                    database=database,
                    settings=settings,
                    tz_mode="aware",
                    chdb_options=dict(ENGINE_OPTIONS),
                )
            return clickhouse_connect.get_client(
                **_server(self._address),
                database=database,
                settings=settings,
                autogenerate_session_id=False,
                tz_mode="aware",
                query_retries=0,
                connect_timeout=5,
                send_receive_timeout=self._timeout_s,
            )
        except (ClickHouseError, OSError) as error:
            raise self._connect_fault(error) from without_text(error)

    def _connect_fault(self, error: Exception) -> AuditError:
        if self.is_embedded and _is_locked(Path(self._address.path) / "status"):
            return Misconfigured(
                f"another process has the store {self._address.path} open: "
                "stop it or name another data folder"
            )
        if self.is_embedded and getattr(error, "code", None) is None:
            return Misconfigured(f"the store {self._address.path} can't be opened: see its folder")
        return translated(error, f"connection to {self.name}")


def _is_locked(status: Path) -> bool:
    """Say whether another process holds the engine's lock; the engine's error doesn't tell."""
    try:
        with status.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _server(address: StoreAddress) -> dict[str, Any]:
    return {
        "interface": "https" if address.scheme == "clickhouses" else "http",
        "host": address.host,
        "port": address.port,
        "username": address.user,
        "password": address.password,
    }
