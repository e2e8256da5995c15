"""The state of the whole, as facts: what was asked of each part, and what of it must hold."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Response

from console.alerts import queries as alert_queries
from console.alerts import rendering as alert_rendering
from console.health.doctor import LAG_MAX, examine
from console.query.conditions import Query
from console.search.moment import rfc3339
from console.search.rendering import Row
from console.software import software
from console.web.context import Api, Asked, json_answer, needs, saw, whole
from schemas.errors import AuditError
from schemas.health import HealthOut, Promise, Verdict
from schemas.ledger import Ledger
from schemas.tables import BATCHES, EVENTS, QUARANTINE
from schemas.views import Diagnosis

T = TypeVar("T")
BATCHES_SHOWN: Final = 12
REASONS_MAX: Final = 100
RATES_MIN: Final = (1, 5, 60)
# Checks of the doctor that are a promise of their own; all others are "every part is there".
_OWN: Final[Mapping[str, tuple[int, str]]] = {
    "canaries": (7, "Every rule still speaks"),
    "disk": (8, "There is room to go on"),
    "audit of reads": (9, "Each look at the log is in the log"),
}
_LEDGER: Final = "ledger"
_NO_LEDGER: Final = "start Kafka and the store; until the ledger answers nothing is known"

routes: Final = APIRouter()


@routes.get("/health", response_model=HealthOut, dependencies=[needs("read_health")])
async def show_state(api: Asked) -> Response:
    """Say whether all invariants hold now, and show the numbers that tell."""
    whole(api)
    found = await look(api)
    await saw(api, "/v1/health", {}, len(found["promises"]))
    return json_answer(found)


async def look(api: Api) -> dict[str, Any]:
    """Ask every part at once; return a `HealthOut`. A part that is away is a fault, no error."""
    faults: list[str] = []

    async def ask(name: str, asked: Awaitable[T]) -> T | None:
        try:
            return await asked
        except AuditError as error:
            faults.append(f"{name}: {error}")
            return None

    async def rows(name: str, query: Query) -> list[Row]:
        return await ask(name, api.reader.rows(query)) or []

    diagnosis, ledger, parts = await asyncio.gather(
        examine(api.ports.probes),
        ask("ledger", api.ports.ledger()),
        asyncio.gather(
            rows("rates", rates_query()),
            rows("batches", batches_query()),
            rows("quarantine", reasons_query()),
            rows("targets", alert_queries.target_states(None)),
            rows("versions", versions_query()),
        ),
    )
    rates, batches, reasons, targets, versions = parts
    promises = judge(ledger, diagnosis)
    found_targets = {row["target"]: row for row in targets}
    configured = frozenset(api.ports.targets)
    names = [*api.ports.targets, *(name for name in found_targets if name not in configured)]
    return {
        "ok": all(promise.state == "ok" for promise in promises),
        "at": rfc3339(api.clock.now_ms() * 1000, digits=3),
        "promises": [promise.model_dump() for promise in promises],
        "ledger": None if ledger is None else ledger.model_dump(),
        "rates": [_rate(minutes, row) for row in rates for minutes in RATES_MIN],
        "batches": [_batch(row) for row in batches],
        "quarantine": [_reason(row) for row in reasons],
        "targets": [
            alert_rendering.render_target(name, found_targets.get(name), configured)
            for name in names
        ],
        "versions": {"software": software(), **_versions(versions)},
        "checks": [check.model_dump() for check in diagnosis.checks],
        "faults": sorted(faults),
    }


def judge(ledger: Ledger | None, diagnosis: Diagnosis) -> Sequence[Promise]:
    """Return what must hold and whether it does. Pure."""
    found = [*_of_ledger(ledger)]
    others = []
    for check in diagnosis.checks:
        if check.name in _OWN:
            number, text = _OWN[check.name]
            state: Verdict = "ok" if check.ok else "broken"
            found.append(_promise(number, text, state, check.found, check.cure))
        elif check.name != _LEDGER:
            others.append(check)
    bad = [check for check in others if not check.ok]
    told = "; ".join(f"{check.name}: {check.found}" for check in bad)
    found.append(
        _promise(
            10,
            "Every part is there and as it must be",
            "broken" if bad else "ok",
            told or f"{len(others)} checks, all well",
            "; ".join(check.cure or "" for check in bad) or None,
        )
    )
    return sorted(found, key=lambda promise: promise.number)


def _of_ledger(ledger: Ledger | None) -> list[Promise]:
    names = ((5, "Nothing is lost and nothing is there twice"), (2, "Every partition moves on"))
    if ledger is None:
        said = "the ledger can't be asked"
        return [_promise(number, text, "unknown", said, _NO_LEDGER) for number, text in names]
    torn = [one.partition for one in ledger.partitions if one.difference]
    slow = [one.partition for one in ledger.partitions if one.lag > LAG_MAX]
    return [
        _promise(
            *names[0],
            "broken" if torn or ledger.difference else "ok",
            f"difference {ledger.difference:,}" + _named("in", torn),
            "see 'audit ledger' and docs/operations.md: a difference is a loss or a duplicate",
        ),
        _promise(
            *names[1],
            "broken" if slow else "ok",
            f"lag {ledger.lag:,}" + _named("too far behind:", slow),
            "see whether pipeline and sink run, and add workers if they do",
        ),
    ]


def _promise(number: int, text: str, state: Verdict, found: str, cure: str | None) -> Promise:
    wanted = None if state == "ok" else cure
    return Promise(number=number, promise=text, state=state, found=found, cure=wanted)


def _named(word: str, partitions: Sequence[int]) -> str:
    return f", {word} partition {', '.join(map(str, partitions[:20]))}" if partitions else ""


def rates_query() -> Query:
    """Build the query for what was stored and quarantined in the last minutes, one row."""
    sums = ", ".join(
        f"sumIf(rows_{kind}, written_at > now64(3) - INTERVAL {minutes} MINUTE) AS {kind}_{minutes}"
        for minutes in RATES_MIN
        for kind in ("stored", "quarantined")
    )
    sql = (
        f"SELECT {sums} FROM {BATCHES} FINAL "
        f"WHERE written_at > now64(3) - INTERVAL {max(RATES_MIN)} MINUTE"
    )
    return Query(sql, {})


def batches_query() -> Query:
    """Build the query for the last batches of the sink."""
    sql = (
        "SELECT partition, origin_from, origin_next, rows_stored, rows_quarantined, gaps, repeats, "
        "bytes, toUnixTimestamp64Milli(written_at) AS written_ms, "
        f"toUnixTimestamp64Milli(recorded_max) AS recorded_ms FROM {BATCHES} FINAL "
        "WHERE written_at > now64(3) - INTERVAL 1 DAY "
        "ORDER BY written_at DESC, partition LIMIT {rows:UInt32}"
    )
    return Query(sql, {"rows": BATCHES_SHOWN})


def reasons_query() -> Query:
    """Build the query for why messages are in quarantine that no replay has accepted."""
    sql = (
        "SELECT reason, any(hint) AS a_hint, count() AS n, "
        "toUnixTimestamp64Milli(min(recorded)) AS first_ms, "
        f"toUnixTimestamp64Milli(max(recorded)) AS last_ms FROM {QUARANTINE} "
        "WHERE (incarnation, topic, partition, offset) NOT IN "
        f"(SELECT incarnation, topic, partition, offset FROM {EVENTS} WHERE replayed = 1) "
        "GROUP BY reason ORDER BY n DESC, reason LIMIT {rows:UInt32}"
    )
    return Query(sql, {"rows": REASONS_MAX})


def versions_query() -> Query:
    """Build the query for the versions on the event that was stored last."""
    sql = (
        f"SELECT versions, version() AS engine FROM {EVENTS} "
        "WHERE recorded > now64(3) - INTERVAL 7 DAY AND replayed = 0 "
        "ORDER BY recorded DESC LIMIT 1"
    )
    return Query(sql, {})


def _rate(minutes: int, row: Row) -> dict[str, Any]:
    stored, quarantined = int(row[f"stored_{minutes}"]), int(row[f"quarantined_{minutes}"])
    per_second = round((stored + quarantined) / (60 * minutes), 2)
    return {
        "minutes": minutes,
        "stored": stored,
        "quarantined": quarantined,
        "per_second": per_second,
    }


def _batch(row: Row) -> dict[str, Any]:
    return {
        "partition": row["partition"],
        "origin_from": row["origin_from"],
        "origin_next": row["origin_next"],
        "stored": row["rows_stored"],
        "quarantined": row["rows_quarantined"],
        "gaps": row["gaps"],
        "repeats": row["repeats"],
        "bytes": row["bytes"],
        "written": rfc3339(row["written_ms"] * 1000, digits=3),
        "delay_s": round(max(0, row["written_ms"] - row["recorded_ms"]) / 1000, 3),
    }


def _reason(row: Row) -> dict[str, Any]:
    return {
        "reason": row["reason"],
        "hint": row["a_hint"],
        "messages": row["n"],
        "first": rfc3339(row["first_ms"] * 1000, digits=3),
        "last": rfc3339(row["last_ms"] * 1000, digits=3),
    }


def _versions(rows: Sequence[Row]) -> dict[str, str]:
    """Return the versions by name, as stage 1 wrote them on the newest event."""
    found: dict[str, str] = {}
    for row in rows:
        found["ClickHouse"] = str(row["engine"])
        for pair in str(row["versions"]).split():
            name, _, version = pair.partition("=")
            found[name] = version
    return found
