"""Canaries as they are kept: the route that lists them, and the doctor's look at them."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Response

from console.health.doctor import Finding, Probe
from console.search.asked import Query
from console.search.moment import rfc3339
from console.search.reading import Asks
from console.search.rendering import Row
from console.web.context import Asked, json_answer, needs, saw, whole
from schemas.canary import TENANT
from schemas.tables import ALERTS, CANARY_RUNS
from schemas.views import CanaryList

RULES_MAX: Final = 10_000
SHOWN_MAX: Final = 5
DAYS: Final = 2
FORGED_READ_RULE: Final = "forged-read"  # of detections/rules/security
routes: Final = APIRouter(prefix="/canaries")


@routes.get("", response_model=CanaryList, dependencies=[needs("read_health")])
async def list_canaries(api: Asked) -> Response:
    """Say of each rule when its canary was last sent and found, and whether it is silent."""
    whole(api)
    rows = await api.reader.rows(last_of_each(DAYS * 86_400))
    await saw(api, "/v1/canaries", {}, len(rows))
    return json_answer({"canaries": [_rendered(row) for row in rows]})


def last_of_each(seconds: int) -> Query:
    """Build the query for the last of each kind, of rules whose canary was sent lately."""
    sql = (
        "SELECT rule_id, toUnixTimestamp64Milli(maxIf(at, kind = 'sent')) AS sent_ms, "
        "toUnixTimestamp64Milli(maxIf(at, kind = 'fired')) AS fired_ms, "
        "toUnixTimestamp64Milli(maxIf(at, kind = 'silent')) AS silent_ms "
        f"FROM {CANARY_RUNS} GROUP BY rule_id "
        "HAVING sent_ms > toUnixTimestamp64Milli(now64(3)) - {span:Int64} "
        "ORDER BY rule_id LIMIT {rows:UInt32}"
    )
    return Query(sql, {"span": seconds * 1000, "rows": RULES_MAX})


def state_of(row: Row) -> str:
    """Name the state of a rule by the last of each kind; 0 is never."""
    fired_ms, silent_ms = int(row["fired_ms"]), int(row["silent_ms"])
    if silent_ms > fired_ms:
        return "silent"
    return "ok" if fired_ms else "waiting"


def canary_probe(store: Asks, period_s: int, *, has_key: bool) -> Probe:
    """Return a probe of whether the rules still speak, and nobody forges canaries."""

    async def look() -> Finding:
        forged = await asyncio.to_thread(store.query, _FORGED, {"tenant": TENANT})
        if int(forged[0]["n"]):
            return Finding(
                is_ok=False,
                found=f"{forged[0]['n']} alerts in a day about canaries with a wrong mark",
            )
        reads = await asyncio.to_thread(store.query, _FORGED_READS, {"rule": FORGED_READ_RULE})
        if int(reads[0]["n"]):
            return Finding(
                is_ok=False,
                found=f"{reads[0]['n']} alerts in a day about reads with a wrong mark: they are "
                "forged, or the API's key is not the pipeline's",
            )
        if not period_s or not has_key:
            why = "AUDIT_CANARY_PERIOD_S is 0" if has_key else "no AUDIT_CANARY_KEY_FILE"
            return Finding(is_ok=True, found=f"off: {why}", is_note=True)
        sql, parameters = last_of_each(2 * period_s + 600)
        rows = await asyncio.to_thread(store.query, sql, parameters)
        silent = [row["rule_id"] for row in rows if state_of(row) == "silent"]
        if silent:
            more = f" and {len(silent) - SHOWN_MAX} more" if len(silent) > SHOWN_MAX else ""
            return Finding(is_ok=False, found=f"silent: {', '.join(silent[:SHOWN_MAX])}{more}")
        told = f"{len(rows)} rules, none silent" if rows else "none was sent lately"
        return Finding(is_ok=True, found=told, is_note=not rows)

    return Probe(
        "canaries",
        "each rule finds its canary, and only ours have a mark, as have only our reads",
        "see 'audit rules canaries', docs/detection.md, Canaries, and docs/reads.md, The mark",
        look,
    )


_FORGED: Final = (
    f"SELECT count() AS n FROM {ALERTS} WHERE tenant = {{tenant:String}} AND canary = 0 "
    "AND recorded > now64(3) - INTERVAL 1 DAY"
)
_FORGED_READS: Final = (
    f"SELECT count() AS n FROM {ALERTS} WHERE rule_id = {{rule:String}} AND canary = 0 "
    "AND recorded > now64(3) - INTERVAL 1 DAY"
)


def _rendered(row: Row) -> dict[str, Any]:
    last = {name: int(row[f"{name}_ms"]) for name in ("sent", "fired", "silent")}
    times = {name: rfc3339(ms * 1000, digits=3) if ms else None for name, ms in last.items()}
    return {"rule_id": row["rule_id"], "state": state_of(row), **times}
