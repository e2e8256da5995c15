"""The pages of alerts: the queue, one alert with all that is known of it, and what is done."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Query, Response

from console.alerts import queries as alert_queries
from console.alerts.exceptions import DAYS_MAX, expiry, fields_of, propose
from console.alerts.exceptions import Asked as ExceptionAsked
from console.alerts.fold import Folded, folded
from console.alerts.queue import (
    NOBODY,
    ROWS_MAX,
    QueueSearch,
    assignees,
    counts,
    following,
    queue,
    tally,
)
from console.alerts.view import view_of
from console.alerts.work import change_many, change_one, one_alert, rendered
from console.cases.book import cases_with
from console.health.rules import rule_of
from console.pages.form import Fields, Form
from console.pages.page import Page, Table, action, page, see
from console.pages.rendering import ago, link
from console.record.recording import event
from console.search.moment import parse_moment
from console.web.context import Api, Asked, saw
from console.web.problems import Refused
from schemas.alert import SEVERITIES, STATUSES, Status
from schemas.views import AlertChangeAsked

routes: Final = APIRouter()
DEFAULT_TENANT: Final = "default"
NAME_MAX: Final = 256
NOTE_MAX: Final = 4_096
REASON_MAX: Final = 512  # as rule files have it
COLUMNS: Final = (
    "alert_id",
    "status",
    "severity",
    "title",
    "rule_id",
    "user",
    "ip_address",
    "session_id",
    "resource",
    "action",
    "assignee",
    "alerts",
    "occurred",
    "recorded",
    "last",
    "tenant",
    "historical",
    "suppressed_by",
    "summary",
    "tags",
)
# What a button of the queue asks for.
_DOES: Final[Mapping[str, Status]] = {
    "acknowledge": "acknowledged",
    "resolve": "resolved",
    "false_positive": "false_positive",
    "reopen": "open",
}


@page(routes, "/alerts", "read_alerts")
async def show_alerts(api: Asked, asked: Annotated[QueueSearch, Query()]) -> Page:
    """Show what is to be worked on, the worst first."""
    now_ms = api.clock.now_ms()
    keys = await api.reader.rows(queue(asked, api.tenant, now_ms * 1000))
    shown = keys[: asked.limit]
    found = await _alerts(api, [key["alert_id"] for key in shown])
    counted = tally(await api.reader.rows(counts(asked, api.tenant, now_ms * 1000)), asked)
    more = following(shown[-1], asked.question()) if len(keys) > asked.limit else None
    await saw(api, "/alerts", asked.model_dump(exclude_none=True), len(found))
    known = await api.reader.rows(assignees(api.tenant))
    chosen = asked.without_page()
    is_folded = asked.order == "severity" and asked.grouped and asked.user is None
    return Page(
        "alerts.html",
        "Alerts",
        {"alerts": found, "next": more, "counts": counted},
        Table(COLUMNS, ([_cell(one[name]) for name in COLUMNS] for one in found)),
        {
            "asked": asked,
            "rows": folded(found) if is_folded else [Folded(one, ()) for one in found],
            "chosen": chosen,
            "here": link("/alerts", **chosen),
            "older": link("/alerts", **chosen, cursor=more) if more else "",
            "people": [NOBODY, *dict.fromkeys([api.principal.name, *_names(known)])],
            "severities": list(reversed(SEVERITIES)),
            "statuses": STATUSES,
            "ages": {one["alert_id"]: ago(_ms(one["recorded"]), now_ms) for one in found},
        },
    )


@page(routes, "/alerts/{alert_id}", "read_alerts")
async def show_alert(api: Asked, alert_id: str) -> Page:
    """Show one alert: what happened, why it matters, what to do, and all around it."""
    data = await view_of(api, alert_id)
    alert = data["alert"]
    if api.principal.may("read_cases"):
        found = await cases_with(api.state, "alert", alert["alert_id"], api.tenant)
        data = {**data, "cases": found}
    await saw(api, "/alerts/{alert_id}", {"alert_id": alert_id}, 1 + len(data["events"]))
    lines = data["events"]
    columns = tuple(lines[0]) if lines else ("event_id",)
    known = await api.reader.rows(assignees(api.tenant))
    return Page(
        "alert.html",
        alert["title"],
        data,
        Table(columns, ([line[name] for name in columns] for line in lines)),
        {"people": list(dict.fromkeys([api.principal.name, *_names(known)])), "days": DAYS_MAX},
    )


@action(routes, "/alerts/changes", "work_alerts")
async def change_alerts(api: Asked, form: Fields) -> Page | Response:
    """Change the chosen alerts alike; what could not be changed is shown."""
    ids = form.many("alert_id")
    if not ids:
        raise Refused(
            "bad_parameter", "no alert was chosen", field="alert_id", cure="check some rows first"
        )
    if len(ids) > ROWS_MAX:
        cure = f"choose at most {ROWS_MAX}"
        raise Refused("bad_parameter", "too many at once", field="alert_id", cure=cure)
    back = _back(form)
    done = await change_many(api, ids, _asked(form))
    if not done["failed"]:
        if back.startswith("/alerts/"):
            return see(back)
        changed = sum(bool(one["changes"]) for one in done["changed"])
        return see(f"{back}{'&' if '?' in back else '?'}changed={changed}")
    return Page("alerts_changed.html", "Not all was changed", dict(done), view={"back": back})


@action(routes, "/alerts/{alert_id}/exception", "work_alerts")
async def propose_exception(api: Asked, alert_id: str, form: Fields) -> Page:
    """Fill in an exception for what the alert found; the alert is a false positive then."""
    row = await one_alert(api, alert_id)
    rule = await rule_of(api, row["rule_id"])
    if rule is None:
        raise Refused("not_found", "its rule is not at work any more", cure="nothing is to be done")
    chosen = form.many("where")
    is_bound = api.tenant is not None or row["tenant"] != DEFAULT_TENANT
    asked = ExceptionAsked(
        {name: value for name, value in fields_of(row).items() if name in chosen},
        form.required("owner", length_max=NAME_MAX),
        form.required("reason", length_max=REASON_MAX),
        expiry(form.text("expires", length_max=32), api.clock.now_ms()),
        row["tenant"] if is_bound else "",
    )
    proposal = propose(rule, asked, str(uuid4()))
    told = {
        "alert": row["alert_id"],
        "rule": rule.rule_id,
        "name": proposal.name,
        "where": dict(asked.where),
        "owner": asked.owner,
        "expires": asked.expires,
    }
    await api.ports.record(
        event(
            api,
            "audit.exception.proposed",
            resource="rule",
            resource_id=rule.excepts or rule.rule_id,
            details=told,
            reason=asked.reason,
            tenant=row["tenant"],
        )
    )
    if form.text("false_positive"):
        note = f"Exception proposed: {proposal.name}. {asked.reason}"
        await change_one(api, row["alert_id"], AlertChangeAsked(status="false_positive", note=note))
    data = {**told, "reason": asked.reason, "file": proposal.path, "text": proposal.text}
    return Page("exception.html", "Proposed exception", {**data, "command": proposal.command})


async def _alerts(api: Api, ids: list[str]) -> list[dict[str, Any]]:
    """Return the alerts in the order of their ids."""
    if not ids:
        return []
    rows = await api.reader.rows(alert_queries.alerts_by_id(ids, api.tenant))
    found = {one["alert_id"]: one for one in await rendered(api, rows)}
    return [found[one] for one in ids if one in found]


def _asked(form: Form) -> AlertChangeAsked:
    """Return what a button asks for. Raises `Refused`."""
    does = form.required("do", length_max=32)
    note = form.text("note", length_max=NOTE_MAX) or None
    if does in _DOES:
        return AlertChangeAsked(status=_DOES[does], note=note)
    if does == "assign":
        assignee = form.text("assignee", length_max=NAME_MAX)
        return AlertChangeAsked(assignee="" if assignee == NOBODY else assignee, note=note)
    if does == "note":
        return AlertChangeAsked(note=form.required("note", length_max=NOTE_MAX))
    raise Refused("bad_parameter", "there is no such action", field="do", cure="use the buttons")


def _back(form: Form) -> str:
    """Return where to go after: a page of alerts, and nowhere else."""
    back = form.text("back", length_max=2_048)
    return back if back == "/alerts" or back.startswith(("/alerts/", "/alerts?")) else "/alerts"


def _ms(moment: str) -> int:
    return parse_moment(moment, 0, "recorded") // 1000


def _names(rows: list[Any]) -> list[str]:
    return [row["value"] for row in rows]


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value
