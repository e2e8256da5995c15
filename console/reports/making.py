"""Reports made: all questions of all sections at once, and what says how the answers came about."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from console.entities.everything import Entity
from console.query.conditions import Conditions, Query
from console.query.scope import IS_READ, scoped
from console.query.write import and_, term
from console.reports import access_control, access_control_log, data_subject, protected_records
from console.reports.part import Listing, Part, Scope, select
from console.search.asking import ledger_now, maybe, maybe_brief
from console.search.moment import rfc3339
from console.search.period import DEFAULT, Period, PeriodAsked
from console.search.reading import QUERY_S_MAX
from console.search.rendering import Row
from console.software import software
from console.web.context import Api
from console.web.problems import Refused
from schemas.ledger import Ledger
from schemas.report import Report, ReportKind, ReportProof, ReportSection
from schemas.tables import BATCHES

PERIOD_DEFAULT: Final = DEFAULT
RULE_SETS_MAX: Final = 20
Parts = Callable[[Scope], Sequence[Part]]


class ReportAsked(PeriodAsked):
    """Of which period and scope a report is; `person` is of a data subject's only."""

    tenant: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    resource: Annotated[str, Field(max_length=1024)] = ""
    user: Annotated[str, Field(max_length=256)] = ""
    person: Annotated[
        str, Field(max_length=256, description="The name or id by which events know the person.")
    ] = ""


class Kind(NamedTuple):
    """One report: what it is called, what it is for, what it takes, and its sections."""

    title: str
    about: str
    parameters: tuple[str, ...]
    parts: Parts


def _all_access(scope: Scope) -> Sequence[Part]:
    return (*access_control.parts(scope), *access_control_log.parts(scope))


_COMMON: Final = ("since", "until", "tenant", "resource", "user")
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "access-control": Kind(
            "Access control",
            "SOC 2 CC6, CC7 and CC8; ISO/IEC 27001:2022 Annex A.5 and A.8",
            _COMMON,
            _all_access,
        ),
        "protected-records": Kind(
            "Protected records",
            "HIPAA 164.312(b) and 164.308(a)(1)(ii)(D)",
            _COMMON,
            protected_records.parts,
        ),
        "data-subject": Kind(
            "Data subject",
            "A request under GDPR or CCPA: all about one person",
            ("person", "since", "until", "tenant"),
            data_subject.parts,
        ),
    }
)


def kinds() -> list[ReportKind]:
    """Return the reports that there are."""
    return [
        ReportKind(name=name, title=kind.title, about=kind.about, parameters=kind.parameters)
        for name, kind in KINDS.items()
    ]


async def make(api: Api, name: str, asked: ReportAsked) -> Report:
    """Ask all that a report tells. Raises `Refused` for a scope that the report doesn't have."""
    kind = KINDS[name]
    period = asked.period(api.clock.now_ms() * 1000, PERIOD_DEFAULT)
    _check(name, asked)
    base = _narrow(api, asked)
    found = period.narrow(base)
    ledger, batches, rules = await asyncio.gather(
        ledger_now(api),
        maybe(api.reader, _batches(period), QUERY_S_MAX),
        maybe(api.reader, _rule_sets(found), QUERY_S_MAX),
    )
    scope = Scope(
        found=found,
        ever=base,
        period=period,
        terms=_terms(asked),
        tenant=api.tenant or asked.tenant,
        reads=_reads(api, asked, period),
        ledger=ledger,
        person=asked.person,
    )
    sections = await _sections(api, kind.parts(scope))
    given = asked.model_dump(exclude={"since", "until"}, exclude_defaults=True)
    return Report(
        name=name,
        title=kind.title,
        about=kind.about,
        since=period.since,
        until=scope.until,
        scope={key: str(value) for key, value in given.items()},
        tenant=scope.tenant,
        query=scope.q(),
        generated_at=rfc3339(period.now_us),
        generated_by=api.principal.name,
        software=software(),
        rule_sets=tuple(sorted(row["rule_set"] for row in rules or () if row["rule_set"])),
        proof=proof(ledger, batches[0] if batches else None, period, is_all=api.tenant is None),
        sections=tuple(sections),
    )


def proof(
    ledger: Ledger | None, batches: Mapping[str, int] | None, period: Period, *, is_all: bool
) -> ReportProof:
    """Say what the ledger proves of the period; numbers of all tenants only to who sees all."""
    if ledger is None:
        said = "The ledger could not be asked, so that completeness is not proven."
        return ReportProof(sentence=said, is_whole=False)
    is_whole = ledger.difference == 0
    said = (
        f"The ledger balances: every event received {period.words} is stored or quarantined"
        if is_whole
        else f"The ledger does not balance: its difference is {ledger.difference:,}"
    )
    if ledger.lag and is_whole:
        said += f", but {ledger.lag:,} that just came and are not stored yet"
    if not is_all:
        return ReportProof(sentence=f"{said}.", is_whole=is_whole, difference=ledger.difference)
    return ReportProof(
        sentence=f"{said}.",
        is_whole=is_whole,
        difference=ledger.difference,
        received=ledger.received,
        stored=ledger.stored,
        quarantined=ledger.quarantined,
        lag=ledger.lag,
        batches=batches["batches"] if batches else None,
        batch_rows=batches["row_count"] if batches else None,
    )


async def _sections(api: Api, parts: Sequence[Part]) -> list[ReportSection]:
    """Ask each question once, all at a time, and make the sections of the answers."""
    asked = {id(query): query for part in parts for query in part.queries.values()}
    found = await asyncio.gather(*(_answer(api, query) for query in asked.values()))
    rows = dict(zip(asked, found, strict=True))
    return [
        part.section({name: rows[id(query)] for name, query in part.queries.items()})
        for part in parts
    ]


async def _answer(api: Api, asked: Query | Listing) -> list[Row] | None:
    if isinstance(asked, Query):
        return await maybe(api.reader, asked, QUERY_S_MAX)
    return await maybe_brief(api.reader, asked.found, asked.columns, asked.rows)


def _check(name: str, asked: ReportAsked) -> None:
    given = asked.model_dump(exclude_defaults=True)
    unknown = [field for field in given if field not in KINDS[name].parameters]
    if unknown:
        raise Refused(
            "bad_parameter",
            f"{unknown[0]} is no scope of this report",
            field=unknown[0],
            cure=f"give {', '.join(KINDS[name].parameters)}",
        )
    if name == "data-subject" and not asked.person:
        raise Refused(
            "bad_parameter",
            "person is missing",
            field="person",
            cure="give the name or id by which events know the person",
        )


def _narrow(api: Api, asked: ReportAsked) -> Conditions:
    if api.tenant is not None and asked.tenant not in (None, api.tenant):
        raise Refused("forbidden_tenant", "the token does not reach that tenant", field="tenant")
    found = scoped(api.principal)
    if asked.tenant is not None and api.tenant is None:
        found = found.also("tenant = {r_tenant:String}", r_tenant=asked.tenant)
    if asked.resource:
        found = Entity("resource", asked.resource).narrow(found)
    return Entity("user", asked.user).narrow(found) if asked.user else found


def _terms(asked: ReportAsked) -> str:
    given = (("tenant", asked.tenant), ("resource", asked.resource), ("user", asked.user))
    return and_(*(term(name, value) for name, value in given if value))


def _reads(api: Api, asked: ReportAsked, period: Period) -> Conditions | None:
    if not api.principal.may("read_reads"):
        return None
    found = period.narrow(scoped(api.principal, reads=True).also(IS_READ))
    if asked.tenant is not None and api.tenant is None:
        found = found.also("tenant = {r_tenant:String}", r_tenant=asked.tenant)
    return found


def _batches(period: Period) -> Query:
    found = period.narrow(Conditions((), {}), "written_at")
    sql = (
        "SELECT count() AS batches, sum(rows_stored) AS row_count "
        f"FROM {BATCHES} FINAL WHERE {found.where()}"
    )
    return Query(sql, found.parameters)


def _rule_sets(found: Conditions) -> Query:
    return select(
        "DISTINCT extract(toString(versions), 'rules=(\\\\S+)') AS rule_set",
        found,
        rows=RULE_SETS_MAX,
    )
