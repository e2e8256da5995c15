"""Access control, as far as it is watching: hours, refusals, the log, alerts, readers. Pure."""

from collections.abc import Sequence
from math import isnan
from typing import Final
from urllib.parse import urlencode

from console.alerts.queries import StatsSearch, stats_by_rule, stats_by_status
from console.query.conditions import Conditions, Query
from console.query.write import term
from console.reports.part import (
    ROWS_MAX,
    Answers,
    Part,
    Scope,
    at,
    event_table,
    figure,
    newest,
    one,
    select,
    table,
)
from console.search.moment import rfc3339
from console.search.rendering import Row
from schemas.report import Cell, Figure, ReportSection, ReportTable
from schemas.tables import QUARANTINE

_SETTINGS: Final = (
    "(startsWith(action, 'security.audit.') OR startsWith(action, 'settings.retention') "
    "OR startsWith(action, 'audit.'))"
)
_MS_PER_HOUR: Final = 3_600_000


def parts(scope: Scope) -> Sequence[Part]:
    """Return the sections on watching, in order."""
    return (
        _off_hours(scope),
        _denied(scope),
        _integrity(scope),
        _alerts(scope),
        _settings(scope),
        _readers(scope),
    )


def _off_hours(scope: Scope) -> Part:
    found = scope.found.also("has(flags, 'off_hours')")
    sums = select("count() AS events, uniqExact(user) AS people", found)
    by_user = select(
        "user AS who, any(role) AS a_role, count() AS events, "
        "countIf(has(flags, 'protected')) AS protected, countIf(notEmpty(changed)) AS changes, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        found,
        "GROUP BY user ORDER BY protected DESC, events DESC, who",
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="off-hours",
            title="Access outside working hours",
            controls=("SOC 2 CC7.2", "ISO 27001 A.8.15", "ISO 27001 A.8.16"),
            says="Events that the pipeline flagged off_hours when they came.",
            figures=(
                figure("Events", found, "events", scope.q("flag:off_hours")),
                figure("Accounts", found, "people", scope.q("flag:off_hours")),
            ),
            tables=(
                table(
                    "By account, protected data first",
                    ("Account", "Role", "Events", "On protected data", "Changes", "Last (UTC)"),
                    answers["by_user"],
                    lambda row: (
                        row["who"],
                        row["a_role"],
                        row["events"],
                        row["protected"],
                        row["changes"],
                        at(row["last_us"]),
                    ),
                    lambda row: scope.q("flag:off_hours", term("user", row["who"])),
                ),
            ),
        )

    return Part({"sums": sums, "by_user": by_user}, section)


def _denied(scope: Scope) -> Part:
    found = scope.found.also("result = 'denied'")
    sums = select("count() AS events, uniqExact(user) AS people", found)
    by_user = select(
        "user AS who, resource AS what, count() AS events, groupUniqArray(3)(toString(action)) "
        "AS actions, toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        found,
        "GROUP BY user, resource ORDER BY events DESC, who, what",
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="denied",
            title="Denied access",
            controls=("SOC 2 CC6.1", "SOC 2 CC7.2", "ISO 27001 A.8.3"),
            says="Attempts that the platform refused.",
            figures=(
                figure("Denied", found, "events", scope.q("result:denied")),
                figure("Accounts", found, "people", scope.q("result:denied")),
            ),
            tables=(
                table(
                    "By account and resource, the most first",
                    ("Account", "Resource", "Denied", "Actions", "Last (UTC)"),
                    answers["by_user"],
                    lambda row: (
                        row["who"],
                        row["what"],
                        row["events"],
                        ", ".join(row["actions"]),
                        at(row["last_us"]),
                    ),
                    lambda row: scope.q(
                        "result:denied", term("user", row["who"]), term("resource", row["what"])
                    ),
                ),
            ),
        )

    return Part({"sums": sums, "by_user": by_user}, section)


def _integrity(scope: Scope) -> Part:
    queries = {
        "sums": select(
            "count() AS events, countIf(replayed = 1) AS moved, countIf(has(flags, 'late')) AS "
            "late, countIf(has(flags, 'future')) AS future, "
            "countIf(has(flags, 'forged_canary')) AS forged",
            scope.found,
        )
    }
    if scope.tenant is None:
        queries["quarantine"] = _quarantine(scope)

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        ledger = scope.ledger
        difference = Figure(
            name="Ledger difference, now",
            value=ledger.difference if ledger else None,
            page="/health",
            note="" if ledger else "The ledger can't be asked right now.",
            tone="" if ledger is None else "bad" if ledger.difference else "good",
        )
        tables: tuple[ReportTable, ...] = ()
        if "quarantine" in answers:
            tables = (
                table(
                    "Messages that could not become events, by reason",
                    ("Reason", "Messages", "Last (UTC)"),
                    answers["quarantine"],
                    lambda row: (row["reason"], row["n"], at(row["last_ms"] * 1000)),
                    lambda _row: None,
                ),
            )
        return ReportSection(
            name="integrity",
            title="Integrity and completeness of the audit log",
            controls=(
                "SOC 2 CC7.1",
                "SOC 2 CC7.2",
                "ISO 27001 A.5.28",
                "ISO 27001 A.5.33",
                "ISO 27001 A.8.15",
            ),
            says=(
                "received = stored + quarantined + lag; a difference other than 0 is a loss or a "
                "duplicate. Nothing is ever dropped: what was no event lies in quarantine."
            ),
            figures=(
                difference,
                figure("Events of the period", found, "events", scope.q()),
                figure("Replayed from quarantine", found, "moved", scope.q("is:replayed")),
                figure("Came late", found, "late", scope.q("flag:late")),
                figure("Dated in the future", found, "future", scope.q("flag:future")),
                figure("Forged canaries", found, "forged", scope.q("flag:forged_canary")),
            ),
            tables=tables,
        )

    return Part(queries, section)


def _quarantine(scope: Scope) -> Query:
    found = scope.period.narrow(Conditions((), {}), "recorded")
    sql = (
        "SELECT reason, count() AS n, toUnixTimestamp64Milli(max(recorded)) AS last_ms, "
        f"count() OVER () AS total FROM {QUARANTINE} WHERE {found.where()} "
        "GROUP BY reason ORDER BY n DESC, reason LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": ROWS_MAX})


def _alerts(scope: Scope) -> Part:
    asked = StatsSearch(since=scope.period.since or "1970-01-01", until=rfc3339(scope.until_us))
    now_us = scope.period.now_us
    queries = {
        "by_rule": stats_by_rule(asked, scope.tenant, now_us),
        "by_status": stats_by_status(asked, scope.tenant, now_us),
    }

    def section(answers: Answers) -> ReportSection:
        states = {row["status_name"]: row for row in answers["by_status"] or ()}
        whole = sum(row["n"] for row in states.values())
        untouched = states["open"]["n"] if "open" in states else 0
        return ReportSection(
            name="alerts",
            title="Alerts, and how they were worked",
            controls=(
                "SOC 2 CC7.3",
                "SOC 2 CC7.4",
                "ISO 27001 A.5.25",
                "ISO 27001 A.5.26",
                "ISO 27001 A.8.16",
            ),
            says="What the rules found in the period, and what became of it until now.",
            figures=(
                Figure(name="Groups of alerts", value=whole, page=_queue(asked, "any")),
                Figure(
                    name="Still open",
                    value=untouched,
                    page=_queue(asked, "open"),
                    tone="warn" if untouched else "good",
                ),
            ),
            tables=(
                table(
                    "By status",
                    ("Status", "Groups", "Median hours until taken", "… until closed"),
                    answers["by_status"],
                    lambda row: (
                        row["status_name"].replace("_", " "),
                        row["n"],
                        _hours(row["taken_ms"]),
                        _hours(row["closed_ms"]),
                    ),
                    lambda _row: None,
                ),
                table(
                    "By rule, the most frequent first",
                    ("Rule", "Severity", "Alerts", "Groups", "Hidden by exceptions"),
                    answers["by_rule"],
                    _by_rule,
                    lambda row: scope.q(term("rule", row["rule_id"])),
                ),
            ),
        )

    return Part(queries, section)


def _by_rule(row: Row) -> Sequence[Cell]:
    return row["title"], row["worst"], row["alerts"], row["groups"], row["suppressed"]


def _queue(asked: StatsSearch, status: str) -> str:
    """Return the page of the alerts that were counted."""
    given = {"status": status, "since": asked.since, "until": asked.until}
    return f"/alerts?{urlencode(given)}"


def _settings(scope: Scope) -> Part:
    sums = select(
        "countIf(category = 'configuration') AS settings, "
        f"countIf({_SETTINGS}) AS of_log, countIf(action = 'security.audit.disabled') AS off",
        scope.found,
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        log = "action:(security.audit.* OR settings.retention* OR audit.*)"
        return ReportSection(
            name="log-settings",
            title="Changed settings, those of the log among them",
            controls=("SOC 2 CC7.1", "SOC 2 CC8.1", "ISO 27001 A.8.9", "ISO 27001 A.8.32"),
            says="Whether logging was changed or switched off, and what was done in this console.",
            figures=(
                figure("Changes of settings", found, "settings", scope.q("category:configuration")),
                figure("Of the log", found, "of_log", scope.q(log)),
                figure(
                    "Logging switched off", found, "off", scope.q("action:security.audit.disabled")
                ),
            ),
            tables=(event_table("Changes of the log, newest first", answers["listed"]),),
        )

    return Part({"sums": sums, "listed": newest(scope.found.also(_SETTINGS))}, section)


def _readers(scope: Scope) -> Part:
    queries = {}
    if scope.reads is not None:
        queries["by_user"] = select(
            "user AS who, toString(action) AS deed, count() AS reads, "
            "sum(JSONExtractUInt(details, 'rows')) AS row_count, "
            "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
            scope.reads,
            "GROUP BY user, action ORDER BY reads DESC, who, deed",
        )

    def section(answers: Answers) -> ReportSection:
        told = "Each search, view, export and report leaves an event that nothing can skip."
        tables: tuple[ReportTable, ...] = ()
        if "by_user" not in answers:
            told += " Shown to the role auditor only."
        else:
            tables = (_read_by(scope, answers),)
        return ReportSection(
            name="readers",
            title="Who read the audit log",
            controls=("SOC 2 CC6.1", "SOC 2 CC7.2", "ISO 27001 A.8.15"),
            says=told,
            tables=tables,
        )

    return Part(queries, section)


def _read_by(scope: Scope, answers: Answers) -> ReportTable:
    return table(
        "By reader",
        ("Reader", "What", "Times", "Rows", "Last (UTC)"),
        answers["by_user"],
        lambda row: (
            row["who"],
            row["deed"],
            row["reads"],
            row["row_count"],
            at(row["last_us"]),
        ),
        lambda row: scope.q("is:read", term("user", row["who"]), term("action", row["deed"])),
    )


def _hours(span_ms: float) -> float | None:
    return None if isnan(span_ms) else round(span_ms / _MS_PER_HOUR, 1)
