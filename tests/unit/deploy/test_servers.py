"""What Kafka's and ClickHouse's own files promise."""

import re
from typing import Final

from console.sql.views import VIEWS
from runtime.broker_config import FIXED
from runtime.clickhouse import INSERT_SETTINGS
from schemas.topics import RECORDS_MESSAGE_BYTES_MAX
from tests.unit.deploy.files import DEPLOY, ROOT, SERVER, USERS, service_of


def test_kafka_keeps_the_promises_that_the_embedded_one_keeps() -> None:
    text = (DEPLOY / "kafka" / "server.properties").read_text()
    given = dict(line.split("=", 1) for line in text.splitlines() if line and line[0] != "#")
    same = {
        "process.roles", "auto.create.topics.enable", "unclean.leader.election.enable",
        "min.insync.replicas", "offsets.retention.minutes", "message.max.bytes",
        "replica.fetch.max.bytes", "offsets.topic.replication.factor",
    }  # fmt: skip
    assert {name: given[name] for name in same} == {name: FIXED[name] for name in same}
    assert int(given["message.max.bytes"]) > RECORDS_MESSAGE_BYTES_MAX
    assert not any("group.min.session" in name for name in given), "short ones are for one machine"
    environment = service_of("sink")["environment"]
    assert given["advertised.listeners"] == f"PLAINTEXT://{environment['AUDIT_KAFKA_BOOTSTRAP']}"


def test_clickhouse_profile_of_whoever_inserts_says_what_the_sink_says() -> None:
    profile = USERS.find("profiles/audit_insert")
    assert profile is not None
    given = {element.tag: element.text for element in profile}
    assert given == {name: str(INSERT_SETTINGS[name]) for name in given}
    must = {"async_insert", "deduplicate_insert", "insert_deduplicate",
            "deduplicate_blocks_in_dependent_materialized_views",
            "max_partitions_per_insert_block"}  # fmt: skip
    assert must <= set(given)


def test_clickhouse_never_leaves_deduplication_and_fsync_to_a_default() -> None:
    given = {element.tag: int(element.text or 0) for element in SERVER.iterfind("merge_tree/*")}
    assert given["non_replicated_deduplication_window"] >= 10_000
    assert given["replicated_deduplication_window"] >= 10_000
    assert given["replicated_deduplication_window_seconds"] >= 7 * 86_400
    assert given["fsync_after_insert"] == given["fsync_part_directory"] == 1


def test_clickhouse_has_no_default_user_and_every_password_comes_hashed_from_outside() -> None:
    users = {user.tag: user for user in USERS.iterfind("users/*")}
    assert users.pop("default").get("remove") == "remove"
    variables = []
    for user in users.values():
        assert user.find("password") is None
        hashed = user.find("password_sha256_hex")
        assert hashed is not None
        assert hashed.text is None
        variables.append(hashed.get("from_env"))
        profile = user.findtext("profile")
        assert USERS.find(f"profiles/{profile}") is not None
    given = {name for name in service_of("clickhouse")["environment"] if name.endswith("_SHA256")}
    assert sorted(map(str, variables)) == sorted(given)


def _privileges(user: str) -> dict[str, set[str]]:
    """Return for each object what a user may do to it, through its roles."""
    allowed: dict[str, set[str]] = {}
    for query in USERS.iterfind(f"users/{user}/grants/query"):
        roles = (query.text or "").removeprefix("GRANT ").split(", ")
        for role in roles:
            granted = USERS.findall(f"roles/{role}/grants/query")
            assert granted, f"no role {role}"
            for grant in granted:
                match = re.fullmatch(
                    r"GRANT ([\w, ]+?)(\([\w, ]+\))? ON ([\w.*]+)", grant.text or ""
                )
                assert match
                allowed.setdefault(match[3], set()).update(match[1].split(", "))
    return allowed


SYSTEM_READS: Final = {"SELECT"}
CHANGES: Final = {  # rights that reach stored rows, and the groups that hold one
    "ALL", "ALTER", "ALTER TABLE", "ALTER UPDATE", "ALTER DELETE", "DELETE", "UPDATE", "TRUNCATE",
    "DROP", "DROP TABLE", "DROP DATABASE", "DROP VIEW", "ALTER COLUMN", "ALTER CLEAR COLUMN",
    "ALTER DROP COLUMN", "ALTER TTL", "ALTER MOVE PARTITION", "ALTER REPLACE PARTITION", "CREATE",
}  # fmt: skip


def test_clickhouse_lets_no_service_change_or_delete_what_is_stored() -> None:
    assert _privileges("audit_writer")["audit.*"] == {"SHOW", "SELECT", "INSERT"}
    assert _privileges("audit_api")["audit.*"] == {"SHOW", "SELECT"}
    assert _privileges("audit_api")["audit.events"] == {"INSERT"}
    analyst = _privileges("audit_analyst")
    assert {what: rights for what, rights in analyst.items() if rights != {"SELECT"}} == {}
    assert "audit.*" not in analyst
    assert "INSERT" not in _privileges("audit_migrator")["audit.*"]
    for user in ("audit_migrator", "audit_writer", "audit_api", "audit_analyst"):
        for what, privileges in _privileges(user).items():
            assert not CHANGES & privileges
            if not what.startswith("audit."):
                assert what.startswith("system."), what
                assert privileges == SYSTEM_READS


def test_clickhouse_lets_an_analyst_read_every_view_and_no_raw_bytes() -> None:
    grants = [grant.text or "" for grant in USERS.iterfind("roles/*/grants/query")]
    of_people = [
        grant.text or ""
        for role in ("audit_analyst_role", "audit_reads_role", "audit_operations_role")
        for grant in USERS.iterfind(f"roles/{role}/grants/query")
    ]
    assert len(of_people) < len(grants)
    assert not any(re.search(r"\braw\b", grant) for grant in of_people)
    assert "GRANT SELECT ON audit.events" not in of_people
    assert "GRANT SELECT ON audit.quarantine" not in of_people
    for view in VIEWS:
        assert f"GRANT SELECT ON audit.{view.name}" in of_people
    [columns] = [grant for grant in of_people if grant.endswith(" ON audit.events")]
    made = (ROOT / "schemas/migrations/001_tables.sql").read_text()
    for column in re.findall(r"\w+", columns.split("(")[1].split(")")[0]):
        assert re.search(rf"^  {column} ", made, re.MULTILINE), column


def test_clickhouse_analyst_reads_within_bounds_that_cannot_be_lifted() -> None:
    profile = USERS.find("profiles/audit_analyst")
    assert profile is not None
    assert profile.findtext("readonly") == "2"
    for name in ("max_execution_time", "max_memory_usage", "max_result_rows"):
        most = profile.findtext(f"constraints/{name}/max")
        least = profile.findtext(f"constraints/{name}/min")
        assert most == profile.findtext(name)
        assert least == "1", "0 means without bound"
    assert USERS.find("quotas/audit_analyst/keyed") is not None
