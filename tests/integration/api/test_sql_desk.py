"""Statements on a real engine: what analysts need runs, what would reach further is refused."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from console.access import Principal
from console.sql.allowed import FUNCTIONS
from console.sql.desk import Answer, SqlDesk
from console.sql.views import VIEWS, Bound
from console.web.problems import Refused
from runtime.clickhouse import Store
from tests.integration.api.stored import line, put

EVER = Bound("1970-01-01 00:00:00.000000", "2200-01-01 00:00:00.000000")
ALL = Principal("root", frozenset({"analyst", "auditor"}))
ANALYST = Principal("ann", frozenset({"analyst"}))
ACME = Principal("amy", frozenset({"analyst", "auditor"}), "acme")
SECRET = "only-of-default@company.com"


@pytest.fixture(scope="module")
def desk(store: Store) -> Iterator[SqlDesk]:
    read = line(
        orjson.dumps(
            {
                "timestamp": "2025-10-11T00:00:00Z",
                "user": "ann",
                "action": "audit.events.searched",
                "details": {"rows": 7, "kind": "search", "query": {"q": "user:joe"}},
            }
        ),
        9_001,
        flags=["read"],
    )
    other = orjson.dumps({"timestamp": "2025-10-11T00:00:00Z", "user": SECRET, "action": "a.b"})
    put(store, [read, line(other, 9_002)], "sql")
    folder = store.name.removeprefix("chdb://")
    with Store(f"chdb://{folder}", database="default") as opened:
        made = SqlDesk(opened, store.database)
        yield made
        made.close()


async def ask(desk: SqlDesk, sql: str, by: Principal = ALL, limit: int = 1_000) -> Answer:
    return await desk.run(await desk.read(sql), by, EVER, limit)


USEFUL = [
    "SELECT 1",
    "SELECT count() FROM events_v1",
    "SELECT user, count() AS n FROM events_v1 GROUP BY user ORDER BY n DESC LIMIT 5",
    "SELECT * FROM events_v1 ORDER BY timestamp DESC LIMIT 3",
    "SELECT * EXCEPT (details) FROM events_v1 LIMIT 1",
    "select toStartOfHour(timestamp) as h, countIf(result = 'failure') from events_v1 group by h",
    "WITH x AS (SELECT user FROM events_v1) SELECT count() FROM x",
    "SELECT a.title, e.user FROM alerts_v1 AS a LEFT JOIN events_v1 AS e USING (user) LIMIT 5",
    "SELECT user FROM events_v1 WHERE user IN (SELECT user FROM alerts_v1)",
    "SELECT user FROM events_v1 WHERE result IN ('failure', 'denied')",
    "SELECT JSONExtractString(details, 'format') FROM events_v1 WHERE action LIKE 'data.%'",
    "SELECT user, row_number() OVER (PARTITION BY user ORDER BY timestamp) FROM events_v1 LIMIT 2",
    "SELECT path, before, after FROM changes_v1",
    "SELECT arrayMap(x -> x + 1, [1, 2]), tuple(1, 'a'), map('a', 1)",
    "SELECT quantile(0.9)(risk_score), uniqExact(user) FROM events_v1",
    "SELECT 1 UNION ALL SELECT 2",
    "SELECT number FROM numbers(10)",
    "SELECT flag, count() FROM events_v1 ARRAY JOIN flags AS flag GROUP BY flag",
    "SELECT CASE WHEN risk_score > 50 THEN 'high' ELSE 'low' END AS r FROM events_v1 LIMIT 1 BY r",
    "SELECT count() FROM quarantine_v1",
    "SELECT sum(rows_stored) FROM batches_v1",
    "SELECT user, rows, kind FROM reads_v1",
    "SELECT arrayReduce('sum', [1, 2])",
    "SELECT '; DROP TABLE events; --', 'a -- b', '/* c */' -- and this",
    "SELECT 1 /* a comment */;",
    "SELECT isIPAddressInRange(ip_address, '203.0.113.0/24') FROM events_v1 WHERE ip_address != ''",
    "SELECT toDate(timestamp) AS d, count() FROM events_v1 GROUP BY d WITH TOTALS",
    "(SELECT 1)",
    "SELECT '{rows:UInt32}', '%s %(x)s'",
]


@pytest.mark.parametrize("sql", USEFUL)
async def test_what_analysts_need_runs(desk: SqlDesk, sql: str) -> None:
    assert (await ask(desk, sql)).columns


HOSTILE = [
    # other statements
    "DROP TABLE events",
    "TRUNCATE TABLE audit.events",
    "INSERT INTO audit.events SELECT * FROM audit.events",
    "ALTER TABLE audit.events DELETE WHERE 1",
    "DELETE FROM audit.events WHERE 1",
    "CREATE TABLE t (a UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE events_v1 AS SELECT 1",
    "SYSTEM FLUSH LOGS",
    "SET max_memory_usage = 0",
    "USE audit",
    "SHOW TABLES FROM audit",
    "SHOW CREATE TABLE audit.events",
    "DESCRIBE TABLE audit.events",
    "EXISTS TABLE audit.events",
    "KILL QUERY WHERE 1",
    "OPTIMIZE TABLE audit.events FINAL",
    "GRANT ALL ON *.* TO root",
    "ATTACH TABLE t",
    "BACKUP TABLE audit.events TO Disk('d', 'x')",
    "EXPLAIN SELECT 1",
    "EXECUTE AS root SELECT 1",
    # several at once, and what comes after a SELECT
    "SELECT 1; DROP TABLE events",
    "SELECT 1; SELECT 2",
    "SELECT 1) UNION ALL SELECT * FROM (SELECT raw FROM audit.events",
    "SELECT 1) SETTINGS readonly = 0 --",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "SELECT 1 FORMAT CSV",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 INTO OUTFILE '/tmp/x' TRUNCATE FORMAT CSV",
    # tables that are no view
    "SELECT raw FROM events",
    "SELECT raw FROM audit.events",
    "SELECT raw FROM `audit`.`events`",
    "SELECT raw FROM `audit.events`",
    'SELECT raw FROM "audit"."events"',
    "SELECT * FROM audit.events_v1",
    "SELECT * FROM system.tables",
    "SELECT * FROM system.one",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM events_v1 JOIN audit.events USING (event_id)",
    "SELECT * FROM events_v1 WHERE user IN (SELECT user FROM audit.events)",
    "SELECT * FROM events_v1 WHERE user IN audit.events",
    "SELECT * FROM events_v1 WHERE (tenant, user) IN system.users",
    "SELECT * FROM events_v1 WHERE user NOT IN events",
    "SELECT * FROM events_v1 WHERE user GLOBAL IN events",
    "SELECT (SELECT max(raw) FROM audit.events)",
    "WITH x AS (SELECT raw FROM audit.events) SELECT * FROM x",
    "WITH events_v1 AS (SELECT * FROM audit.events) SELECT * FROM events_v1",
    "WITH (SELECT max(raw) FROM audit.events) AS x SELECT x",
    "SELECT * FROM events_v1 UNION ALL SELECT * FROM audit.events_v1",
    "SELECT 1 EXCEPT SELECT count() FROM audit.events",
    "SELECT EXISTS(SELECT 1 FROM audit.events)",
    "SELECT * FROM events_v1 ORDER BY (SELECT 1 FROM system.one)",
    "SELECT * FROM events_v1 LIMIT (SELECT count() FROM audit.events)",
    "SELECT count() OVER (PARTITION BY (SELECT 1 FROM system.one)) FROM events_v1",
    "SELECT * FROM `events_v1\n TableIdentifier system.one`",
    "SELECT 1 AS `x)\n                  TableIdentifier y` FROM audit.events",
    # table functions
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM `file`('/etc/passwd')",
    "SELECT * FROM FILE('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')",
    "SELECT * FROM s3('http://127.0.0.1/x')",
    "SELECT * FROM remote('127.0.0.1', audit.events)",
    "SELECT * FROM cluster('default', audit.events)",
    "SELECT * FROM merge('audit', '.*')",
    "SELECT * FROM loop(audit.events)",
    "SELECT * FROM view(SELECT raw FROM audit.events)",
    "SELECT * FROM viewIfPermitted(SELECT 1 ELSE null('x Int'))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SELECT * FROM input('x String')",
    "SELECT * FROM executable('sh', 'TSV', 'x String')",
    "SELECT * FROM mysql('127.0.0.1:3306', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:5432', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('/tmp/x.sqlite3', 't')",
    "SELECT * FROM python('x')",
    "SELECT * FROM Python(x)",
    "SELECT * FROM dictionary('d')",
    "SELECT * FROM generateRandom('x String')",
    "SELECT * FROM zeros(10)",
    "SELECT * FROM mergeTreeIndex('audit', 'events')",
    "SELECT * FROM values('a String', 'x')",
    "SELECT * FROM numbers((SELECT count() FROM audit.events))",
    "INSERT INTO FUNCTION file('/tmp/x') SELECT 1",
    # functions that read, wait, tell of the server, or raise on purpose
    "SELECT file('/etc/passwd')",
    "SELECT dictGet('d', 'a', 1)",
    "SELECT joinGet('audit.events', 'raw', 1)",
    "SELECT sleep(3)",
    "SELECT sleepEachRow(1) FROM events_v1",
    "SELECT throwIf(user = 'x') FROM events_v1",
    "SELECT getSetting('readonly')",
    "SELECT currentUser(), hostName(), version()",
    "SELECT @@version",
    "SELECT getMacro('x'), serverUUID(), tcpPort()",
    "SELECT filesystemAvailable()",
    "SELECT decrypt('aes-128-ecb', 'x', 'y')",
    "SELECT initializeAggregation('sumState', 1)",
    "SELECT sumState(risk_score) FROM events_v1",
    "SELECT catboostEvaluate('/tmp/x', 1)",
    "SELECT arrayReduce('sumState', [1])",
    "SELECT arrayReduce(user, [1]) FROM events_v1",
    "WITH x -> file(x) AS f SELECT f('/etc/passwd')",
    "WITH file AS f SELECT f('/etc/passwd')",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    "SELECT * APPLY (file) FROM events_v1",
    "SELECT COLUMNS('.*') APPLY (x -> file(x)) FROM events_v1",
    "SELECT * REPLACE (file('/etc/passwd') AS user) FROM events_v1",
    "SELECT buildId(), addressToLine(1), trap('x')",
    # functions whose work grows faster than their texts: no bound of time holds within a call
    "SELECT editDistance(user, action), levenshteinDistance(user, action) FROM events_v1",
    "SELECT damerauLevenshteinDistance(user, action) FROM events_v1",
    "SELECT jaroWinklerSimilarity(user, action), jaroSimilarity(user, action) FROM events_v1",
    "SELECT ngrams(details, 3) FROM events_v1",
    "SELECT ngramDistance(user, action) FROM events_v1",
    "SELECT repeat('a', 1000000)",
    "SELECT arrayResize([1], 1000000)",
    "SELECT extractAll(details, '.*') FROM events_v1",
    "SELECT replaceRegexpAll(details, 'a.*c|a', '') FROM events_v1",
    "SELECT position(details, user) FROM events_v1",
    "SELECT user LIKE action FROM events_v1",
    "SELECT position(user, concat('a', 'b')) FROM events_v1",
    "SELECT position(user, 'LONG') FROM events_v1".replace("LONG", "a" * 1_001),
    "SELECT hasAll(flags, rules) FROM events_v1",
    # parameters, nonsense, too much
    "SELECT {tenant:String}",
    "SELECT * FROM {t:Identifier}",
    "SELECT * FROM events_v1 SAMPLE 0.1",
    "",
    "   ",
    "nonsense",
    "SELECT",
    "SELECT 'open",
    "/* SELECT 1",
    "SELECT \x00",
    "SELECT 1" + " + 1" * 8_000,
    "SELECT * FROM (" * 300 + "SELECT 1" + ")" * 300,
    "SELECT count() FROM events_v1 PREWHERE user = 'x'",
]  # fmt: skip


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: ascii(sql[:60]))
async def test_what_would_reach_further_is_refused(desk: SqlDesk, sql: str) -> None:
    with pytest.raises(Refused) as refused:
        await ask(desk, sql)

    assert refused.value.kind == "sql_refused"
    assert refused.value.cure
    assert "since" not in refused.value.detail


def test_there_are_many_hostile_statements() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT sum(a.number * b.number) FROM numbers(1000000000) AS a, numbers(1000000000) AS b",
        "SELECT groupArray(number) FROM numbers(1000000000)",
        "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) SELECT count() FROM x",
        "SELECT arrayJoin(range(1000000000)) AS n ORDER BY n",
    ],
)
async def test_what_takes_too_much_is_stopped(desk: SqlDesk, sql: str) -> None:
    with pytest.raises(Refused) as refused:
        await ask(desk, sql)

    assert refused.value.kind in {"query_too_broad", "sql_refused"}


async def test_a_tenant_sees_only_its_own_rows_in_every_view(desk: SqlDesk) -> None:
    for view in VIEWS:
        if not view.tenanted:
            with pytest.raises(Refused):
                await ask(desk, "SELECT * FROM VIEW".replace("VIEW", view.name), ACME)
            continue
        found = await ask(desk, "SELECT DISTINCT tenant FROM VIEW".replace("VIEW", view.name), ACME)
        assert [row[0] for row in found.rows] in ([], ["acme"])
    assert (await ask(desk, "SELECT count() FROM events_v1", ACME)).rows == [[1]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count() FROM events_v1 WHERE user = SECRET",
        "SELECT count() FROM events_v1 WHERE tenant = 'default' OR user = SECRET",
        "SELECT countIf(user = SECRET) FROM events_v1",
        "WITH events_v1 AS (SELECT * FROM events_v1) SELECT countIf(user = SECRET) FROM events_v1",
        "SELECT count() FROM (SELECT * FROM events_v1) AS t WHERE t.user = SECRET",
    ],
)
async def test_no_statement_counts_a_row_of_another_tenant(desk: SqlDesk, sql: str) -> None:
    try:
        found = await ask(desk, sql.replace("SECRET", f"'{SECRET}'"), ACME)
    except Refused:
        return  # a view that hides itself: the engine says no
    assert found.rows == [[0]]


@pytest.mark.parametrize(
    "where",
    [
        f"intDiv(1, user != '{SECRET}') >= 0",
        f"toUInt8(if(user = '{SECRET}', 'x', '1')) = 1",
        # arrayElement is none: at 0 it raises only where the index is written out
        f"toFixedString(if(user = '{SECRET}', 'xx', '1'), 1) = '1'",
        f"toDateTime(if(user = '{SECRET}', 'never', '2025-01-01 00:00:00')) > 0",
    ],
)
async def test_no_error_tells_of_a_row_of_another_tenant(desk: SqlDesk, where: str) -> None:
    told = 0
    for shape in (
        "SELECT count() FROM events_v1 WHERE (PROBE)",
        "SELECT count() FROM (SELECT (PROBE) AS x FROM events_v1) WHERE x",
        "SELECT countIf((PROBE)) FROM events_v1",
        "SELECT (PROBE) AS x, count() FROM events_v1 GROUP BY x",
        "SELECT user FROM events_v1 ORDER BY (PROBE) LIMIT 1",
        "SELECT count() FROM events_v1 WHERE user IN (SELECT user FROM events_v1 WHERE (PROBE))",
        "SELECT (SELECT count() FROM events_v1 WHERE (PROBE))",
        "SELECT count() FROM events_v1 JOIN (SELECT user FROM events_v1 WHERE PROBE) USING (user)",
        "WITH x AS (SELECT * FROM events_v1 WHERE (PROBE)) SELECT count() FROM x",
    ):
        assert (await ask(desk, shape.replace("PROBE", where), ACME)).rows
        try:
            await ask(desk, shape.replace("PROBE", where), ALL)
        except Refused:
            told += 1
    assert told, "the probe tells nobody of the row, so it is no probe"


async def test_reads_are_for_those_who_may_see_them(desk: SqlDesk) -> None:
    reads = "SELECT user, rows, kind, query FROM reads_v1"

    assert ["ann", 7, "search", '{"q":"user:joe"}'] in (await ask(desk, reads)).rows
    with pytest.raises(Refused):
        await ask(desk, reads, ANALYST)
    found = await ask(desk, "SELECT count() FROM events_v1 WHERE action LIKE 'audit.%'")
    assert found.rows == [[0]]


async def test_no_view_shows_raw_bytes_or_a_secret(desk: SqlDesk) -> None:
    columns = await desk.columns()

    assert columns.keys() == {view.name for view in VIEWS}
    assert not {"raw", "raw_base64", "details_masked"} & {
        name for found in columns.values() for name, _type in found
    }
    found = await ask(desk, "SELECT details FROM events_v1 WHERE details LIKE '%password%'")
    assert [row[0] for row in found.rows] == ['{"password":"***"}']


async def test_the_period_and_the_rows_are_bounded(desk: SqlDesk) -> None:
    found = await ask(desk, "SELECT number FROM numbers(100) ORDER BY number DESC", limit=3)
    assert (found.rows, found.is_cut) == ([[99], [98], [97]], True)
    hour = Bound("2025-10-11 14:00:00", "2025-10-11 15:00:00")
    found = await desk.run(await desk.read("SELECT count() FROM events_v1"), ALL, hour, 9)
    assert found.rows == [[3]]


async def test_an_error_is_told_in_the_engines_words_without_ours(desk: SqlDesk) -> None:
    with pytest.raises(Refused, match="no_such_column") as refused:
        await ask(desk, "SELECT no_such_column FROM events_v1", ACME)

    assert "acme" not in refused.value.detail
    assert "UInt32" not in refused.value.detail


def test_the_views_leave_out_just_the_reads() -> None:
    text = Path("schemas/migrations/004_views.sql").read_text()

    assert text.count("NOT has(flags, 'read')") == 2
    assert text.count("has(flags, 'read')") == 3
    assert "'audit." not in text  # a producer may take a read's action


def test_every_function_of_the_list_is_one_of_the_engine(store: Store) -> None:
    rows = store.query("SELECT lower(name) AS name FROM system.functions")
    syntax = {"countdistinct", "date_add", "date_sub", "dateadd", "datesub", "exists", "grouping"}

    assert {row["name"] for row in rows} >= FUNCTIONS - syntax - {"lambda", "row", "untuple"}
