"""Running somebody's statement: judged, narrowed to what they may see, and bounded.

Each runs on a thread of the desk's own and holds it until the engine has ended it, whoever has
left meanwhile: so neither two statements more nor anything else of the console waits for it.
"""

import asyncio
import json
import logging
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from console.access import Principal
from console.sql.guard import STATEMENT_MAX, judge, judge_tables, refused
from console.sql.views import VIEWS, Bound, narrowed
from console.web.problems import Refused
from runtime.store_errors import TooBroad
from schemas.errors import AuditError, Broken, Misconfigured, StoreUnavailable

ROWS_MAX: Final = 10_000
AT_ONCE: Final = 2  # people wait for each other rather than for the sink
SECONDS_MAX: Final = 15  # within the bound of a request
WAITING_MAX: Final = 4  # statements that wait for a thread; more are refused at once
TAG: Final = "log_comment"  # names a statement's queries, so that they can be ended
_KILL: Final = f"KILL QUERY WHERE Settings['{TAG}'] = {{tag:String}} ASYNC"
_KILL_TRIES_MAX: Final = 200  # a query is told again until it has ended: it may not yet be known
_KILL_WAIT_S: Final = 0.2
_SAID_MAX: Final = 400  # characters of the engine's own words
_MIB: Final = 1_048_576
T = TypeVar("T")
log: Final = logging.getLogger("audit.api")
Settings = Mapping[str, str | int]
SETTINGS: Final[Settings] = MappingProxyType(
    {
        "readonly": 2,  # nothing is changed, whatever the guard overlooks
        "max_execution_time": SECONDS_MAX,
        "timeout_overflow_mode": "throw",
        # the engine looks at the clock between two blocks only: so they are small
        "max_block_size": 1_024,
        "function_range_max_elements_in_block": 1_000_000,
        "max_memory_usage": 256 * _MIB,
        "max_bytes_before_external_group_by": 96 * _MIB,
        "max_bytes_before_external_sort": 96 * _MIB,
        "max_temporary_data_on_disk_size_for_query": 1_024 * _MIB,
        "max_rows_to_read": 500_000_000,
        "max_result_bytes": 16 * _MIB,
        "max_query_size": 262_144,
        "max_ast_depth": 500,
        "max_ast_elements": 5_000,
        "max_expanded_ast_elements": 100_000,
        "max_subquery_depth": 20,
        "max_recursive_cte_evaluation_depth": 100,
        "max_rows_in_join": 10_000_000,
        "allow_introspection_functions": 0,
        "joined_subquery_requires_alias": 0,
        "query_plan_remove_redundant_sorting": 0,  # an ORDER BY is inside of what we add
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_escape_forward_slashes": 0,
        "output_format_json_validate_utf8": 1,
    }
)
# Rows of other tenants are gone before anything of the statement looks at a row: an error, or the
# time it takes, tells nothing of them. It costs the use of indexes, so only where it is needed.
BARRIER: Final[Settings] = MappingProxyType(
    {
        "query_plan_filter_push_down": 0,
        "query_plan_merge_filters": 0,
        "query_plan_merge_expressions": 0,
        "query_plan_optimize_prewhere": 0,
        "optimize_move_to_prewhere": 0,
        "enable_optimize_predicate_expression": 0,
        "query_plan_lift_up_array_join": 0,
        "query_plan_push_down_limit": 0,
        "query_plan_execute_functions_after_sorting": 0,
        # how much is read would else tell which values others have
        "use_skip_indexes": 0,
        "use_query_condition_cache": 0,
        "query_plan_optimize_primary_key": 0,
    }
)


class Runs(Protocol):
    """The part of the store that is needed, opened where no table of ours is."""

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> list[dict[str, Any]]:
        """Run a SELECT, one dict a row."""
        ...

    def raw(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        fmt: str,
        settings: Settings | None = None,
    ) -> bytes:
        """Run a SELECT, in a format of the engine."""
        ...

    def complaint(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Settings | None = None,
    ) -> str:
        """Return what the engine has against a statement."""
        ...


class Answer(NamedTuple):
    """What a statement gave. `is_cut` if there are more rows than were asked for.

    `rows_read` is None for who has a tenant: it counts rows of others too.
    """

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_cut: bool
    seconds: float
    rows_read: int | None


class Statement(NamedTuple):
    """A statement that may be run, as the engine writes it: one, without comments."""

    text: str


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn of a statement on a thread; `left` is set once nobody waits for it any more."""

    tag: str = field(default_factory=lambda: f"audit-sql-{secrets.token_hex(8)}")
    left: threading.Event = field(default_factory=threading.Event)

    def settings(self) -> Settings:
        """Return the bounds and the name of its queries. Raises `Refused` if nobody waits."""
        if self.left.is_set():
            raise Refused("timeout", "nobody waits for the statement any more")
        return {**SETTINGS, TAG: self.tag}


class SqlDesk:
    """Runs statements for people, few at once. `database` is where the views are."""

    def __init__(self, store: Runs, database: str) -> None:
        self._store = store
        self._database = database
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit-sql")
        self._killer = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="audit-sql-kill")
        self._present: dict[Future[Any], _Turn] = {}

    async def read(self, statement: str) -> Statement:
        """Read and judge a statement; nothing is run. Raises `Refused`, else as the store does."""
        return await self._turn(lambda turn: self._canonical(statement, turn))

    async def run(
        self, statement: Statement, principal: Principal, bound: Bound, limit: int
    ) -> Answer:
        """Run a statement that was read. Raises `Refused`, else as the store does.

        Cancelled, it ends the statement in the engine too.
        """
        assert 0 < limit <= ROWS_MAX, "the caller bounds it"
        return await self._turn(lambda turn: self._run(statement, principal, bound, limit, turn))

    def close(self) -> None:
        """End what runs, and the threads."""
        for running, turn in self._present.items():
            turn.left.set()
            self._killer.submit(self._kill, running, turn.tag)
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._killer.shutdown(wait=True)

    async def _turn(self, work: Callable[[_Turn], T]) -> T:
        """Do work on a thread of the desk; whoever leaves ends it."""
        self._present = {one: turn for one, turn in self._present.items() if not one.done()}
        if len(self._present) >= AT_ONCE + WAITING_MAX:
            raise Refused("busy", "other statements run and wait", cure="try again in a minute")
        turn = _Turn()
        running = self._threads.submit(work, turn)
        self._present[running] = turn
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            turn.left.set()
            if not running.cancelled():  # it had begun
                self._killer.submit(self._kill, running, turn.tag)
            raise
        except TooBroad as error:
            said = "the statement hit its bound of time, memory or rows"
            cure = "choose a shorter period, or read fewer columns"
            raise Refused("query_too_broad", said, cure=cure) from error

    def _kill(self, running: Future[Any], tag: str) -> None:
        """Tell the engine to end a statement, until it has."""
        for _ in range(_KILL_TRIES_MAX):
            if running.done():
                return
            try:
                self._store.query(_KILL, {"tag": tag})
            except AuditError as error:
                log.warning("a statement that nobody waits for can't be ended: %s", error)
                return  # it has its own bound of time
            wait_for([running], timeout=_KILL_WAIT_S)

    async def columns(self) -> dict[str, list[tuple[str, str]]]:
        """Return name and type of each column, by view."""
        rows = await asyncio.to_thread(
            self._store.query,
            "SELECT table, name, type FROM system.columns WHERE database = {database:String} "
            "AND has({views:Array(String)}, table) ORDER BY table, position",
            {"database": self._database, "views": [view.name for view in VIEWS]},
        )
        found: dict[str, list[tuple[str, str]]] = {}
        for row in rows:
            found.setdefault(row["table"], []).append((row["name"], row["type"]))
        return found

    def _run(
        self, statement: Statement, principal: Principal, bound: Bound, limit: int, turn: _Turn
    ) -> Answer:
        begun, parameters = narrowed(principal, self._database, bound)
        sql = f"{begun} SELECT * FROM ({statement.text}) LIMIT {{rows:UInt32}}"
        asked = {**parameters, "rows": limit + 1}
        barrier = BARRIER if principal.tenant is not None else {}
        explained = f"EXPLAIN QUERY TREE {sql}"
        tree = self._asked(explained, asked, {**turn.settings(), **barrier})
        judge_tables(tree, frozenset(f"{self._database}.{view.name}" for view in VIEWS))
        settings = {**turn.settings(), **barrier}
        try:
            found = json.loads(self._store.raw(sql, asked, fmt="JSONCompact", settings=settings))
        except (Broken, Misconfigured, StoreUnavailable) as error:
            if not _is_of_statement(error):
                raise
            # its words could quote rows: the kind of error is all that is told
            raise refused(
                f"the engine stopped: {error}", "look at the values it works on"
            ) from error
        rows, told = found["data"], found["statistics"]
        is_whole = principal.tenant is None
        return Answer(
            [column["name"] for column in found["meta"]],
            [column["type"] for column in found["meta"]],
            rows[:limit],
            len(rows) > limit,
            round(float(told["elapsed"]), 3 if is_whole else 0),
            int(told["rows_read"]) if is_whole else None,
        )

    def _canonical(self, statement: str, turn: _Turn) -> Statement:
        """Return the statement as the engine writes it: one, without comments, and judged."""
        if not statement.strip() or len(statement) > STATEMENT_MAX or "\0" in statement:
            said = f"a statement has 1 to {STATEMENT_MAX:,} characters"
            raise refused(said, "write a single SELECT")
        rows = self._asked_rows(
            "SELECT formatQuerySingleLine({sql:String}) AS text",
            {"sql": statement},
            turn.settings(),
        )
        canonical = str(rows[0]["text"])
        tree = self._asked(f"EXPLAIN AST SELECT * FROM ({canonical})", {}, turn.settings())
        judge(tree)
        return Statement(canonical)

    def _asked(self, sql: str, parameters: Mapping[str, Any], settings: Settings) -> list[str]:
        rows = self._asked_rows(sql, parameters, settings)
        return [str(row["explain"]) for row in rows]

    def _asked_rows(
        self, sql: str, parameters: Mapping[str, Any], settings: Settings
    ) -> list[dict[str, Any]]:
        """Ask what a statement is; what the engine has against it is told in its own words."""
        try:
            return self._store.query(sql, parameters, settings)
        except (Broken, Misconfigured, StoreUnavailable) as error:
            if not _is_of_statement(error):
                raise
            said = self._store.complaint(sql, parameters, settings)
            raise refused(_said(said), "correct the statement; see docs/sql.md") from None


def _is_of_statement(error: AuditError) -> bool:
    """Say whether the engine has something against the statement, rather than being away."""
    return not isinstance(error, TooBroad) and re.search(r"\(\d+\)", str(error)) is not None


def _said(text: str) -> str:
    """Return what concerns the statement in the engine's words, without what we put around it."""
    found = re.sub(r"^.*?DB::Exception: ", "", text, count=1, flags=re.DOTALL)
    found = re.split(r" In scope |: In scope|\. \(|: While |\(version |Expected one of", found)[0]
    return " ".join(found.split())[:_SAID_MAX].strip(" .:") or "the engine can't read it"
