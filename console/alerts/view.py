"""All that is known of one alert: its events, group, deliveries, history and relatives."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from typing import Any, Final
from urllib.parse import urlencode

from console.alerts import queries as alert_queries
from console.alerts import rendering as alert_rendering
from console.alerts.events import FINDING, events_behind, findings_among, render_line, search_around
from console.alerts.exceptions import default_expiry, fields_of
from console.alerts.related import RELATIONS, Relation, members_of, related_by
from console.alerts.runbook import steps
from console.alerts.work import one_alert, rendered
from console.health.rules import rule_of
from console.query.write import one_of
from console.search.rendering import Row
from console.web.context import Api
from schemas.rule import RuleView

Shown = dict[str, Any]
EVENTS_LINKED_MAX: Final = 40  # ids of a group's events that one query names


async def view_of(api: Api, alert_id: str) -> Shown:
    """Return what the page of an alert shows, as plain values. Raises `Refused`."""
    row = await one_alert(api, alert_id)
    relations = [one for one in RELATIONS if row[one.column]]
    events, tried, changes, members, *related = await asyncio.gather(
        _events(api, row),
        api.reader.rows(alert_queries.deliveries_of(row["alert_id"])),
        api.reader.rows(alert_queries.changes_of(row["lead"])),
        api.reader.rows(members_of(row)),
        *(api.reader.rows(related_by(one, row)) for one in relations),
    )
    rule = await rule_of(api, row["rule_id"])
    named = await _named_findings(api, row)
    everyone = [row, *members, *chain.from_iterable(related), *filter(None, named.values())]
    known = {one["alert_id"]: one for one in await rendered(api, everyone)}
    deliveries = [alert_rendering.render_delivery(one) for one in tried]
    return {
        "alert": known[row["alert_id"]],
        "runbook": steps(row["runbook"], row["occurred_us"], api.clock.now_ms() * 1000),
        **_behind(api, row, events, {one: known.get(one) for one in named}),
        "deliveries": deliveries,
        "targets": targets_of(deliveries),
        "history": [alert_rendering.render_change(one) for one in changes],
        "members": _group(members, known),
        "related": [
            _relation(one, row, rows, known) for one, rows in zip(relations, related, strict=True)
        ],
        "rule": rule.model_dump(mode="json") if rule else None,
        "exception": _offer(api, row, rule),
    }


def targets_of(deliveries: Sequence[Mapping[str, Any]]) -> list[Shown]:
    """Return how each target stands: its last attempt, and how many there were."""
    found = []
    for target, attempts in groupby(deliveries, key=lambda one: one["target"]):
        told = list(attempts)
        last = told[-1]
        found.append(
            {
                "target": target,
                "outcome": last["outcome"],
                "reason": last["reason"],
                "attempts": sum(one["attempt"] > 0 for one in told),
                "tried": last["tried"],
                "next": last["next"],
            }
        )
    return found


async def _events(api: Api, row: Row) -> Sequence[Row]:
    if not (row["event_ids"] and api.principal.may("read_events")):
        return []
    return await api.reader.rows(events_behind(row, api.principal))


async def _named_findings(api: Api, row: Row) -> dict[str, Row | None]:
    """Return the alerts among what an alert is made of; None for one that was not stored."""
    ids = findings_among(row["event_ids"])
    if not ids:
        return {}
    rows = await api.reader.rows(alert_queries.alerts_by_id(ids, row["tenant"]))
    found = {one["alert_id"]: one for one in rows}
    return {one: found.get(one) for one in ids}


def _behind(
    api: Api, row: Row, events: Sequence[Row], findings: Mapping[str, Shown | None]
) -> Shown:
    lines = [render_line(one) for one in events]
    seen = {line["event_id"] for line in lines}
    return {
        "events": lines,
        "may_read_events": api.principal.may("read_events"),
        "missing": [one for one in row["event_ids"] if one not in seen and one not in findings],
        "findings": [{"alert_id": one, "alert": found} for one, found in findings.items()],
        "search": f"/search?{urlencode({'q': search_around(row, events)})}",
    }


def _group(members: Sequence[Row], known: Mapping[str, Shown]) -> Shown:
    total = members[0]["total"] if members else 1
    named = dict.fromkeys(chain.from_iterable(one["event_ids"] for one in members))
    ids = [one for one in named if not FINDING.fullmatch(one)]
    is_all = total == len(members) and 0 < len(ids) <= EVENTS_LINKED_MAX
    return {
        "total": total,
        "alerts": [known[one["alert_id"]] for one in members],
        "search": f"/search?{urlencode({'q': one_of('event', ids)})}" if is_all else None,
    }


def _relation(
    relation: Relation, row: Row, rows: Sequence[Row], known: Mapping[str, Shown]
) -> Shown:
    asked = {relation.filter: row[relation.column], "status": "any"}
    return {
        "name": relation.name,
        "value": row[relation.column],
        "total": rows[0]["total"] if rows else 0,
        "alerts": [known[one["alert_id"]] for one in rows],
        "link": f"/alerts?{urlencode(asked)}",
    }


def _offer(api: Api, row: Row, rule: RuleView | None) -> Shown | None:
    """Return what an exception would start from; None where the rule can have none."""
    fields = fields_of(row)
    if rule is None or rule.excepts is None or not fields:
        return None
    return {
        "rule": rule.excepts,
        "fields": fields,
        "owner": api.principal.name,
        "expires": default_expiry(api.clock.now_ms()),
    }
