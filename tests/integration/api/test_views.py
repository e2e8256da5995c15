"""All but search: one event, quarantine, alerts, ledger, doctor; and what a tenant sees of them."""

import asyncio
import json
from typing import Any

import pytest

from console.health.doctor import Finding, Probe
from console.ports import Read
from consumers.alerts.book import Book
from consumers.alerts.planning import Placed
from runtime.clickhouse import Store
from schemas.errors import BrokerUnavailable
from tests.integration.api.stored import (
    INCARNATION,
    SEED,
    alert,
    offsets,
    search,
)


@pytest.mark.parametrize("name", [f"{INCARNATION[:8]}-0-1", "0:1"])
async def test_an_event_is_shown_with_its_evidence(ask: Any, name: str) -> None:
    shown = (await ask().get(f"/v1/events/{name}")).json()
    assert shown["raw"].encode() == SEED[1]
    assert shown["raw_base64"] is None
    assert shown["event"]["details"] == json.loads(SEED[1])["details"]
    assert shown["provenance"]["versions"] == "pipeline=1"
    assert shown["provenance"]["incarnation"] == INCARNATION
    assert shown["provenance"]["batch"]["last_offset"] == 2
    assert shown["provenance"]["replayed"] is False
    assert shown["others"] == []


@pytest.mark.parametrize("path", ["/v1/events/0:1", "/events/0:1.json"])
async def test_one_tenant_is_not_told_of_the_batch_which_counts_all_tenants(
    ask: Any, path: str
) -> None:
    whole = (await ask().get(path)).json()
    assert whole["provenance"]["batch"] is not None
    own = (await ask(tenant=whole["event"]["tenant"]).get(path)).json()
    assert own["provenance"] == {**whole["provenance"], "batch": None}


async def test_events_that_share_an_id_are_all_shown(ask: Any) -> None:
    shown = (await ask().get("/v1/events/same")).json()
    assert shown["event"]["offset"] == 506
    assert offsets(shown["others"]) == [507]


async def test_quarantine_shows_what_is_open_and_its_bytes(ask: Any) -> None:
    client = ask()
    page = (await client.get("/v1/quarantine")).json()
    assert [(m["offset"], m["open"]) for m in page["messages"]] == [(600, True)]
    every = (await client.get("/v1/quarantine", params={"state": "all", "limit": 1})).json()
    rest = (
        await client.get(
            "/v1/quarantine", params={"state": "all", "limit": 1, "cursor": every["next"]}
        )
    ).json()
    assert [m["offset"] for m in every["messages"] + rest["messages"]] == [601, 600]
    shown = (await client.get("/v1/quarantine/0:600")).json()
    assert (shown["raw"], shown["raw_base64"]) == (None, "/wAB")
    assert (await client.get("/v1/quarantine/0:601")).json()["raw"] == "{}"
    assert (await client.get("/v1/quarantine/0:1")).status_code == 404


async def test_replay_is_handed_on(ask: Any) -> None:
    done = await ask().post("/v1/quarantine/replay", json={"reason": "ip_address:invalid"})
    assert done.json() == {"replayed": 1000, "still_rejected": 0, "next": None}
    away = await ask().post("/v1/quarantine/replay", json={"partition": 9})
    assert (away.status_code, away.json()["detail"]) == (503, "Kafka is away")
    wrong = await ask().post("/v1/quarantine/replay", json={"reson": "x"})
    assert wrong.json()["cure"] == "did you mean reason?"


async def test_alerts_are_listed_followed_and_shown_with_deliveries(ask: Any, store: Store) -> None:
    client = ask()
    first = (await client.get("/v1/alerts", params={"limit": 2})).json()
    assert [a["title"] for a in first["alerts"]] == ["Alert 4", "Alert 3"]
    second = (await client.get("/v1/alerts", params={"limit": 9, "cursor": first["next"]})).json()
    assert [a["title"] for a in second["alerts"]] == ["Alert 2", "Alert 1", "Alert 0"]
    none = (await client.get("/v1/alerts", params={"after": first["after"]})).json()
    assert (none["alerts"], none["after"]) == ([], first["after"])
    Book(store).store([Placed(alert(7), 0, 7)])
    new = (await client.get("/v1/alerts", params={"after": first["after"]})).json()
    assert [a["title"] for a in new["alerts"]] == ["Alert 7"]
    assert new["alerts"][0]["recorded"] == "2025-10-12T10:00:07.750Z"
    shown = (await client.get(f"/v1/alerts/{alert(0).alert_id}")).json()
    assert [(d["attempt"], d["outcome"]) for d in shown["deliveries"]] == [
        (0, "queued"),
        (1, "failed"),
        (2, "delivered"),
    ]
    ruled = (await client.get("/v1/alerts", params={"rule": "first"})).json()
    assert [a["title"] for a in ruled["alerts"]] == ["Alert 0"]


async def test_ledger_and_doctor_are_shown(ask: Any) -> None:
    assert (await ask().get("/v1/ledger")).json()["received"] == 3
    diagnosis = (await ask().get("/v1/doctor")).json()
    checks = {check["name"]: check for check in diagnosis["checks"]}
    assert checks["ClickHouse"]["ok"]
    assert checks["tables"]["ok"]
    assert not checks["clock of the store"]["ok"]  # the test's clock stands still in 2025
    assert checks["clock of the store"]["cure"]
    assert diagnosis["ok"] is False


async def test_a_token_for_one_tenant_reaches_no_other(ask: Any) -> None:
    client = ask("acme")
    assert {row["tenant"] for row in await search(client)} == {"acme"}
    refused = await client.get("/v1/events", params={"tenant": "default"})
    assert (refused.status_code, refused.json()["field"]) == (403, "tenant")
    for path in ("/v1/events/0:1", "/v1/events/same", f"/v1/alerts/{alert(0).alert_id}"):
        assert (await client.get(path)).status_code == 404
    for path in ("/v1/quarantine", "/v1/ledger", "/v1/quarantine/0:600", "/v1/doctor"):
        assert (await client.get(path)).status_code == 403
    listed = (await client.get("/v1/alerts")).json()["alerts"]
    assert {a["tenant"] for a in listed} == {"acme"}


async def test_every_read_is_seen(ask: Any, seen: list[Read]) -> None:
    await search(ask("acme"), user="four")
    assert seen[-1].path == "/v1/events"
    assert seen[-1].asked["user"] == "four"
    assert (seen[-1].by.tenant, seen[-1].rows) == ("acme", 1)


async def test_the_description_names_every_route_and_parameter(ask: Any) -> None:
    described = (await ask().get("/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    parameters = {p["name"] for p in described["paths"]["/v1/events"]["get"]["parameters"]}
    assert {"user", "ip", "since", "cursor", "text", "limit"} <= parameters
    assert "EventOut" in described["components"]["schemas"]


async def test_a_probe_that_hangs_or_fails_is_a_failed_check() -> None:
    from console.health.doctor import examine  # noqa: PLC0415

    async def hang() -> Finding:
        await asyncio.sleep(60)
        return Finding(is_ok=True, found="")

    async def fail() -> Finding:
        raise BrokerUnavailable("Kafka did not answer")

    probes = [Probe("a", "w", "c", hang), Probe("b", "w", "c", fail)]
    diagnosis = await examine(probes, seconds_max=0.05)
    assert [check.ok for check in diagnosis.checks] == [False, False]
    assert diagnosis.checks[1].found == "Kafka did not answer"
