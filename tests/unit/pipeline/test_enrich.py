"""Enrichment as a record shows it: times, addresses, people, secrets, unknown fields, versions."""

import json

import orjson
import pytest

from pipeline.directory import Directory, Person
from pipeline.enrich import Enricher, Lookups, Terms
from pipeline.lookups import default_policy
from pipeline.run import Run
from tests.unit.pipeline.judging import (
    DAY_MS,
    LOGIN,
    Raw,
    Silent,
    make_stage,
    row_of,
)


@pytest.mark.parametrize(
    ("age_ms", "flag"),
    [
        (-300_000, None),
        (-300_001, "future"),
        (15 * 60_000, None),
        (15 * 60_000 + 1, "delayed"),
        (7 * DAY_MS, "delayed"),
        (7 * DAY_MS + 1, "late"),
    ],
)
def test_time_that_is_far_off_is_flagged_never_changed(age_ms: int, flag: str | None) -> None:
    stage = make_stage()
    occurred_ms = 1_760_192_595_000
    raw = Raw(0, occurred_ms + age_ms, None, orjson.dumps(LOGIN))
    row = json.loads(stage(Run("audit.events", 2, 0, [raw])).records[0].value)
    assert row["occurred"] == "2025-10-11 14:23:15"
    assert set(row["flags"]) & {"future", "late", "delayed"} == ({flag} if flag else set())


@pytest.mark.parametrize("age_ms", [-1, 0, 9 * DAY_MS])
def test_detections_see_the_brokers_time_that_no_producer_sets(age_ms: int) -> None:
    recorded_ms = 1_760_192_595_000 + age_ms
    enricher = Enricher(Lookups(default_policy()), Terms())
    derived = enricher.enrich(LOGIN, orjson.dumps(LOGIN), recorded_ms)[2]
    assert (derived.recorded_ms, derived.occurred) == (recorded_ms, "2025-10-11 14:23:15")


def test_unknown_fields_are_counted_or_refused() -> None:
    event = LOGIN | {"colour": 1, "shape": {"a": None}}
    row = row_of(make_stage(), event)
    assert (row["unknown_fields"], "unknown_fields" in row["flags"]) == (2, True)
    assert json.loads(row["raw"])["colour"] == 1
    assert row_of(make_stage(is_strict=True), event)["reason"] == "message:unknown_fields"
    assert "reason" not in row_of(make_stage(is_strict=True), LOGIN)


def test_all_fields_and_lookups_have_their_columns() -> None:
    event = LOGIN | {
        "event_id": "e-1", "tenant": "acme", "role": "agent", "user_agent": "curl/8", "reason": "r",
        "resource": "invoices", "resource_id": "i-1", "result": "denied", "request_id": "q-1",
        "source": "billing", "on_behalf_of": "bob", "ip_address": "::ffff:8.8.8.8",
        "timestamp": "2025-10-10T16:23:15.5+02:00",
    }  # fmt: skip
    row = row_of(make_stage(Silent()), event)
    copied = set(event) - {"ip_address", "timestamp", "details"}
    assert {name: row[name] for name in copied} == {name: event[name] for name in copied}
    assert row["occurred"] == "2025-10-10 14:23:15.500000"
    assert (row["ip_address"], row["geo_country"]) == ("8.8.8.8", "US")
    assert (row["geo_asn"], row["geo_as_name"], row["client"]) == (15169, "GOOGLE", "curl")
    assert (row["severity"], row["risk_score"]) == ("low", 20)
    assert row["flags"] == ["delayed"]


@pytest.mark.parametrize(
    ("text", "canonical", "is_private"),
    [
        ("2001:DB8:0:0::1", "2001:db8::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("2001:4860:4860:0:0:0:0:8888", "2001:4860:4860::8888", False),
        ("9.9.9.9", "9.9.9.9", False),
        ("10.0.0.1", "10.0.0.1", True),
    ],
)
def test_addresses_are_canonical(text: str, canonical: str, *, is_private: bool) -> None:
    row = row_of(make_stage(), LOGIN | {"ip_address": text})
    assert row["ip_address"] == canonical
    assert ("private_ip" in row.get("flags", [])) == is_private


def test_null_and_absent_are_the_same() -> None:
    stage = make_stage()
    names = ("event_id", "tenant", "role", "resource", "result", "details", "user_agent", "reason")
    with_nulls = row_of(stage, {key: LOGIN[key] for key in LOGIN if key != "details"}
                        | dict.fromkeys(names))  # fmt: skip
    without = row_of(stage, {key: LOGIN[key] for key in LOGIN if key != "details"})
    del with_nulls["raw"], without["raw"]
    assert with_nulls == without


def test_masked_details_stand_beside_the_raw_ones_only_if_something_was_masked() -> None:
    stage = make_stage()
    assert "details_masked" not in row_of(stage, LOGIN)
    row = row_of(stage, LOGIN | {"details": {"password": "hunter2", "a": 1}})
    assert json.loads(row["details_masked"]) == {"password": "***", "a": 1}
    assert "secret_masked" in row["flags"]


def test_who_has_left_is_flagged() -> None:
    stage = make_stage()
    stage.use(Lookups(default_policy(), directory=Directory({"JANE.DOE@company.com": Person(
        "Administrator", "ops", "Suspended")}, "d2")))  # fmt: skip
    row = row_of(stage, LOGIN)
    assert (row["department"], row["user_status"]) == ("ops", "Suspended")
    assert "inactive_user" in row["flags"]
    assert "directory=d2" in row["versions"]
    failed = row_of(stage, LOGIN | {"action": "authentication.login.failed"})
    assert failed["rules"] == ["failed-admin-login"]  # by the directory's role


def test_versions_name_every_lookup_and_setting() -> None:
    stage = make_stage(Silent())
    for part in ("pipeline=", "rules=silent", "geo=fixed", "clients=fixed", "directory=d1"):
        assert part in stage.versions
    assert "policy=" in stage.versions
    assert make_stage(Silent(), late_ms_min=1).versions != stage.versions
    assert make_stage(Silent(), delayed_ms_min=1).versions != stage.versions
    assert make_stage(Silent(), is_strict=True).versions != stage.versions


@pytest.mark.parametrize(
    ("said", "is_flagged"),
    [
        ({"user": "BreakGlass-1@company.com"}, True),
        ({"role": "emergency-admin"}, True),
        ({"details": {"break_glass": True}}, True),
        ({"user": "firecall", "role": "firecall", "details": {"break_glass": True}}, True),
        ({"user": "emergency-desk@company.com"}, False),
        ({"details": {"break_glass": False}}, False),
        ({"details": {"break_glass": "no"}}, False),
        ({}, False),
    ],
)
def test_what_is_done_in_an_emergency_is_flagged_once(
    said: dict[str, object], *, is_flagged: bool
) -> None:
    flags = row_of(make_stage(), LOGIN | said).get("flags", [])
    assert flags.count("break_glass") == is_flagged


def test_the_role_of_the_directory_counts_where_the_event_names_none() -> None:
    people = {"jane": Person(role="firecall")}
    lookups = Lookups(default_policy(), directory=Directory(people, "d"))
    for said, is_flagged in (({}, True), ({"role": "agent"}, False)):
        event = LOGIN | {"user": "jane"} | said
        flags = Enricher(lookups, Terms()).enrich(event, orjson.dumps(event), 0)[3]
        assert ("break_glass" in flags) == is_flagged


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"details": {"reason": "audit 17"}}, "audit 17"),
        ({"reason": "own", "details": {"reason": "other"}}, "own"),
        ({"details": {"reason": "x" * 3_000}}, "x" * 2_048),
        ({"details": {"reason": {"text": "no text"}}}, None),
        ({"details": {"reason": ""}}, None),
    ],
)
def test_the_reason_in_the_details_counts_where_the_event_has_none(
    said: dict[str, object], reason: str | None
) -> None:
    assert row_of(make_stage(), LOGIN | said).get("reason") == reason


def test_a_secret_in_the_reason_of_the_details_is_masked_in_the_column_too() -> None:
    secret = "AKIA" + "IOSFODNN7EXAMPLE"
    row = row_of(make_stage(), LOGIN | {"details": {"reason": f"key {secret}"}})
    assert secret not in row["reason"]
    assert row["reason"].startswith("key ")
