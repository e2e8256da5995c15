"""The access list of a resource or record: did this user access this data, and who else did."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field

from console.entities import access_list
from console.entities.everything import Entity
from console.pages.page import Page, Table, page
from console.query.conditions import Conditions
from console.query.scope import scoped
from console.query.write import and_, term
from console.search.asking import ledger_now
from console.search.period import ALL, CHOICES, DEFAULT, Period, PeriodAsked
from console.search.reading import BY_ALL
from console.web.context import Api, Asked, saw

routes: Final = APIRouter()
_COLUMNS: Final = (
    "user", "role", "department", "events", "done", "denied", "failed", "records", "first",
    "last", "reasons", "with_reason", "on_behalf_of", "verbs", "off_hours", "break_glass",
    "break_glass_without_reason", "ip_address",
)  # fmt: skip


class AccessAsked(PeriodAsked):
    """Of which data, and of whom: the answer at the top is about that user."""

    resource: Annotated[str, Field(max_length=1024)] = ""
    resource_id: Annotated[str, Field(max_length=1024)] = ""
    user: Annotated[str, Field(max_length=256)] = ""

    @property
    def what(self) -> str:
        """The data, in a title."""
        return " ".join(part for part in (self.resource, self.resource_id) if part)

    @property
    def said(self) -> str:
        """The data, in a sentence: one record of a resource is not taken for all of it."""
        if self.resource and self.resource_id:
            return f"this one record {self.resource_id} of {self.resource}"
        return self.what


@page(routes, "/access", "read_events")
async def show_access(api: Asked, asked: Annotated[AccessAsked, Query()]) -> Page:
    """Show who accessed a resource or a record, and whether one user did."""
    # one record or one person is little to read, and the question means ever
    default = ALL if asked.resource_id or asked.user else DEFAULT
    period = asked.period(api.clock.now_ms() * 1000, default)
    extra = asked.model_dump(exclude={"since", "until"})
    view = {"choices": CHOICES, "extra": extra}
    data: dict[str, Any] = {"period": period.data(), **extra, "what": asked.what}
    if not asked.what:
        await saw(api, "/access", {}, 0)
        return Page("access.html", "Who accessed it", {**data, "people": None}, None, view)
    data |= await _answer(api, asked, period)
    await saw(api, "/access", asked.model_dump(exclude_defaults=True), len(data["people"]))
    rows = [[_cell(person[name]) for name in _COLUMNS] for person in data["people"]]
    title = f"Who accessed {asked.what}"
    return Page("access.html", title, data, Table(_COLUMNS, rows), view)


async def _answer(api: Api, asked: AccessAsked, period: Period) -> dict[str, Any]:
    found = period.narrow(_of(scoped(api.principal), asked))
    one = found.also("user = {a_user:String}", a_user=asked.user)
    rows, own, ledger, elsewhere = await asyncio.gather(
        api.reader.rows(access_list.people(found), BY_ALL),
        api.reader.rows(access_list.people(one), BY_ALL) if asked.user else _nobody(),
        ledger_now(api),
        _elsewhere(api, asked, period),
    )
    people = [access_list.render_person(row) for row in rows]
    total = rows[0]["people"] if rows else 0
    said = access_list.Asked(asked.said, period.words, access_list.proof_of(ledger))
    person = access_list.render_person(own[0]) if own else None
    query = _query(asked, period)
    return {
        "people": [
            {**entry, "query": and_(query, term("user", entry["user"]))} for entry in people
        ],
        "total": total,
        "person": person,
        "elsewhere": elsewhere,
        "query": query,
        "yes": bool(person and person["done"]) if asked.user else bool(total),
        "verdict": access_list.verdict(asked.user, said, person, total - bool(person))
        if asked.user
        else access_list.summary(said, people, total),
    }


def _of(found: Conditions, asked: AccessAsked) -> Conditions:
    if asked.resource:
        return Entity("resource", asked.resource, asked.resource_id).narrow(found)
    return found.behind("resource_id = {e_part:String}", e_part=asked.resource_id)


def _query(asked: AccessAsked, period: Period) -> str:
    given = (
        ("resource", asked.resource),
        ("resource_id", asked.resource_id),
        ("since", period.since),
        ("until", period.until),
    )
    return and_(*(term(name, value) for name, value in given if value))


async def _elsewhere(api: Api, asked: AccessAsked, period: Period) -> dict[str, Any] | None:
    """Return what the user did to other records of the resource, where one record is asked for."""
    if not (asked.resource and asked.resource_id and asked.user):
        return None
    found = period.narrow(Entity("resource", asked.resource).narrow(scoped(api.principal)))
    rows = await api.reader.rows(
        access_list.elsewhere(found, asked.user, asked.resource_id), BY_ALL
    )
    return access_list.render_elsewhere(asked.resource, rows[0])


async def _nobody() -> list[Any]:
    return []


def _cell(value: object) -> object:
    return "; ".join(value) if isinstance(value, list) else value
