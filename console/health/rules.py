"""The rules with what they did: the route that lists them, and what their page shows."""

import asyncio
from typing import Any, Final

from fastapi import APIRouter, Response

from console.health.canaries import DAYS, last_of_each, state_of
from console.search.asked import Query, tenant_of, unbounded
from console.search.moment import rfc3339
from console.search.rendering import Row
from console.web.context import Api, Asked, json_answer, needs, saw
from schemas.rule import RuleList, RuleView
from schemas.tables import ALERTS

STATS_DAYS: Final = 30
RULES_MAX: Final = 10_000
routes: Final = APIRouter(prefix="/rules")


@routes.get("", response_model=RuleList, dependencies=[needs("read_alerts")])
async def list_rules(api: Asked) -> Response:
    """List the rules that raise alerts: what each is, when it last fired, what is excepted."""
    rules = await rules_shown(api)
    await saw(api, "/v1/rules", {}, len(rules))
    return json_answer({"rules": rules})


async def rules_shown(api: Api) -> list[dict[str, Any]]:
    """Return `RuleOut`s, by name."""
    known = await rules_of(api)
    fired = {row["rule_id"]: row for row in await api.reader.rows(firings(api.tenant))}
    canaries: dict[str, str] = {}
    if api.tenant is None and api.principal.may("read_health"):
        rows = await api.reader.rows(last_of_each(DAYS * 86_400))
        canaries = {row["rule_id"]: state_of(row) for row in rows}
    return [
        {
            **rule.model_dump(mode="json"),
            **_fired(fired.get(rule.rule_id)),
            "canary": canaries.get(rule.rule_id),
        }
        for rule in known
    ]


async def rules_of(api: Api) -> list[RuleView]:
    """Return the rules by name; exceptions of other tenants are left out."""
    known = await asyncio.to_thread(api.ports.rules)
    return [_within(rule, api.tenant) for rule in sorted(known, key=lambda rule: rule.rule_id)]


async def rule_of(api: Api, rule_id: str) -> RuleView | None:
    """Return one rule; None if it is none of those at work, such as one of before."""
    return next((rule for rule in await rules_of(api) if rule.rule_id == rule_id), None)


def firings(tenant: str | None) -> Query:
    """Build the query for when each rule last fired, and how often of late."""
    found = tenant_of(unbounded(), None, tenant).also("canary = 0")
    late = f"recorded > now64() - INTERVAL {STATS_DAYS} DAY"
    sql = (
        "SELECT rule_id, max(toUnixTimestamp64Milli(recorded)) AS last_ms, "
        f"countIf({late}) AS alerts, "
        f"uniqExactIf(if(lead_id = '', alert_id, lead_id), {late}) AS `groups`, "
        f"countIf({late} AND suppressed_by != '') AS suppressed "
        f"FROM {ALERTS} FINAL WHERE {found.where()} GROUP BY rule_id LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": RULES_MAX})


def _fired(row: Row | None) -> dict[str, Any]:
    if row is None:
        return {"last_fired": None, "alerts": 0, "groups": 0, "suppressed": 0}
    return {
        "last_fired": rfc3339(row["last_ms"] * 1000, digits=3),
        **{name: row[name] for name in ("alerts", "groups", "suppressed")},
    }


def _within(rule: RuleView, tenant: str | None) -> RuleView:
    if tenant is None:
        return rule
    seen = tuple(one for one in rule.exceptions if one.tenant in ("", tenant))
    return rule.model_copy(update={"exceptions": seen})
