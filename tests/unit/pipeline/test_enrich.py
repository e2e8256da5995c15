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
