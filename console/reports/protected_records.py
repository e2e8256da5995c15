"""Protected records: who accessed protected data, why, and what left. Pure.

Evidence for HIPAA 164.312(b), audit controls, and 164.308(a)(1)(ii)(D), review of activity.
"""

from collections.abc import Sequence
from typing import Final

from console.query.write import term
from console.reports.access_control_log import parts as watching
from console.reports.part import (
    Answers,
    Part,
    Scope,
    address,
    at,
    event_query,
    event_table,
    figure,
    newest,
    one,
    select,
    table,
    what,
    who,
)
from console.search.rendering import Row
from schemas.report import Cell, ReportSection, ReportTable

AUDIT: Final = "HIPAA 164.312(b)"
REVIEW: Final = "HIPAA 164.308(a)(1)(ii)(D)"
ACCESS: Final = "HIPAA 164.312(a)(1)"
EMERGENCY: Final = "HIPAA 164.312(a)(2)(ii)"
DISCLOSED: Final = "HIPAA 164.528"
_PROTECTED: Final = "has(flags, 'protected')"
_IS: Final = "is:protected"
_GLASS: Final = "flag:break_glass"
_LEAVES: Final = "(category = 'export' OR verb IN ('export', 'download'))"
_LEAVES_Q: Final = "(category:export OR verb:(export OR download))"
_WATCHING: Final = ("integrity", "alerts", "readers")


def parts(scope: Scope) -> Sequence[Part]:
    """Return the sections, in order."""
    own = (_people(scope), _classes(scope), _reasons(scope), _emergencies(scope), _exports(scope))
    return (*own, _off_hours(scope), *_review(scope))


def _people(scope: Scope) -> Part:
    found = scope.found.also(_PROTECTED)
    sums = select(
        "count() AS events, uniqExact(user) AS people, uniqExact(resource, resource_id) AS "
        "records, countIf(result = 'denied') AS denied",
        found,
    )
    by_user = select(
        "user AS who, any(role) AS a_role, any(department) AS a_department, count() AS events, "
        "uniq(resource, resource_id) AS records, countIf(result = 'denied') AS denied, "
        f"countIf({_LEAVES}) AS exports, countIf(has(flags, 'off_hours')) AS off_hours, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        found,
        "GROUP BY user ORDER BY events DESC, who",
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="people",
            title="Who accessed protected data",
            controls=(AUDIT, ACCESS),
            says="Every event on data that the policy calls protected.",
            figures=(
                figure("Accesses", found, "events", scope.q(_IS)),
                figure("People and services", found, "people", scope.q(_IS)),
                figure("Records", found, "records", scope.q(_IS)),
                figure("Denied", found, "denied", scope.q(_IS, "result:denied")),
            ),
            tables=(_by_person(scope, answers),),
        )

    return Part({"sums": sums, "by_user": by_user}, section)


def _by_person(scope: Scope, answers: Answers) -> ReportTable:
    return table(
        "By person, the most first",
        (
            "User",
            "Role",
            "Department",
            "Accesses",
            "Records, about",
            "Denied",
            "Exports",
            "Off hours",
            "First (UTC)",
            "Last (UTC)",
        ),
        answers["by_user"],
        lambda row: (
            row["who"],
            row["a_role"],
            row["a_department"],
            row["events"],
            row["records"],
            row["denied"],
            row["exports"],
            row["off_hours"],
            at(row["first_us"]),
            at(row["last_us"]),
        ),
        lambda row: scope.q(_IS, term("user", row["who"])),
    )


def _classes(scope: Scope) -> Part:
    by_class = select(
        "toString(data_class) AS class, resource AS what, toString(verb) AS deed, "
        "count() AS events, uniqExact(user) AS people, count() OVER () AS total",
        scope.found.also(_PROTECTED),
        "GROUP BY data_class, resource, verb ORDER BY events DESC, class, what, deed",
    )

    def section(answers: Answers) -> ReportSection:
        return ReportSection(
            name="data",
            title="Which data, and what was done with it",
            controls=(AUDIT,),
            says="By data class, resource and deed.",
            tables=(
                table(
                    "By data",
                    ("Data class", "Resource", "Deed", "Events", "People"),
                    answers["by_class"],
                    lambda row: (
                        row["class"],
                        row["what"],
                        row["deed"],
                        row["events"],
                        row["people"],
                    ),
                    lambda row: scope.q(
                        _IS,
                        term("data_class", row["class"]),
                        term("resource", row["what"]),
                        term("verb", row["deed"]),
                    ),
                ),
            ),
        )

    return Part({"by_class": by_class}, section)


def _reasons(scope: Scope) -> Part:
    found = scope.found.also(_PROTECTED)
    sums = select("count() AS events, countIf(reason = '') AS without", found)
    by_reason = select(
        "reason AS said, count() AS events, uniqExact(user) AS people, count() OVER () AS total",
        found.also("reason != ''"),
        "GROUP BY reason ORDER BY events DESC, said",
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="reasons",
            title="Reasons given",
            controls=(AUDIT, "HIPAA 164.502(b)"),
            says="Why it was accessed, as the events say in their field reason.",
            figures=(figure("Without a reason", found, "without", scope.q(_IS, "-has:reason")),),
            tables=(
                table(
                    "By reason",
                    ("Reason", "Accesses", "People"),
                    answers["by_reason"],
                    lambda row: (row["said"], row["events"], row["people"]),
                    lambda row: scope.q(_IS, term("reason", row["said"])),
                ),
            ),
        )

    return Part({"sums": sums, "by_reason": by_reason}, section)


def _emergencies(scope: Scope) -> Part:
    found = scope.found.also(_PROTECTED).also("has(flags, 'break_glass')")
    sums = select("count() AS events, countIf(reason = '') AS without", found)

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="break-glass",
            title="Emergency access (break-glass)",
            controls=(EMERGENCY, AUDIT),
            says="Events flagged break_glass: by account, by role, or as their details say.",
            figures=(
                figure("Accesses", found, "events", scope.q(_IS, _GLASS)),
                figure("Without a reason", found, "without", scope.q(_IS, _GLASS, "-has:reason")),
            ),
            tables=(event_table("Emergency accesses, newest first", answers["listed"]),),
        )

    return Part({"sums": sums, "listed": newest(found)}, section)


def _exports(scope: Scope) -> Part:
    found = scope.found.also(_PROTECTED).also(_LEAVES)
    sums = select(
        "count() AS events, uniqExact(user) AS people, "
        "sum(JSONExtractUInt(details, 'record_count')) AS records",
        found,
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="exports",
            title="Exports and downloads of protected data",
            controls=(AUDIT, DISCLOSED),
            says="What left the platform; records are counted where the event counts them.",
            figures=(
                figure("Exports", found, "events", scope.q(_IS, _LEAVES_Q)),
                figure("People", found, "people", scope.q(_IS, _LEAVES_Q)),
                figure("Records in them", found, "records", scope.q(_IS, _LEAVES_Q)),
            ),
            tables=(
                table(
                    "Exports, newest first",
                    (
                        "Time (UTC)",
                        "Who",
                        "Action",
                        "Result",
                        "Resource",
                        "Records",
                        "Format",
                        "From",
                        "Reason",
                    ),
                    answers["listed"],
                    _export_cells,
                    event_query,
                ),
            ),
        )

    extra = (
        "JSONExtractUInt(details, 'record_count') AS record_count, "
        "JSONExtractString(details, 'format') AS file_format"
    )
    return Part({"sums": sums, "listed": newest(found, extra)}, section)


def _export_cells(row: Row) -> tuple[Cell, ...]:
    return (
        at(row["occurred_us"]),
        who(row),
        row["action"],
        row["result_name"],
        what(row),
        row["record_count"] or None,
        row["file_format"],
        address(row["address"]),
        row["why"],
    )


def _off_hours(scope: Scope) -> Part:
    found = scope.found.also(_PROTECTED).also("has(flags, 'off_hours')")
    by_user = select(
        "user AS who, any(role) AS a_role, count() AS events, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        found,
        "GROUP BY user ORDER BY events DESC, who",
    )

    def section(answers: Answers) -> ReportSection:
        return ReportSection(
            name="off-hours",
            title="After hours",
            controls=(REVIEW,),
            says="Accesses to protected data that were flagged off_hours when they came.",
            figures=(
                figure(
                    "Accesses",
                    one(answers["sums"]),
                    "events",
                    scope.q(_IS, "flag:off_hours"),
                ),
            ),
            tables=(
                table(
                    "By person",
                    ("User", "Role", "Accesses", "Last (UTC)"),
                    answers["by_user"],
                    lambda row: (row["who"], row["a_role"], row["events"], at(row["last_us"])),
                    lambda row: scope.q(_IS, "flag:off_hours", term("user", row["who"])),
                ),
            ),
        )

    return Part({"sums": select("count() AS events", found), "by_user": by_user}, section)


def _review(scope: Scope) -> Sequence[Part]:
    """Return what shows that activity is reviewed: the log's integrity, alerts, who read it."""

    def renamed(part: Part) -> Part:
        def section(answers: Answers) -> ReportSection:
            return part.section(answers).model_copy(update={"controls": (REVIEW, AUDIT)})

        return Part(part.queries, section)

    chosen = [part for name, part in zip(_NAMES, watching(scope), strict=True) if name in _WATCHING]
    return [renamed(part) for part in chosen]


_NAMES: Final = ("off-hours", "denied", "integrity", "alerts", "log-settings", "readers")
