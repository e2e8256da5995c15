"""Everything about one person: what they did, what was done with their data, and by whom. Pure.

For requests of data subjects under GDPR (articles 15, 17, 19) and CCPA. A person is an actor where
an event names them as user or as the one acted for, and a subject where an event of somebody's
names them as the record or mentions them in its details.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from console.query.conditions import Conditions
from console.query.write import either, term, text
from console.reports.part import (
    Answers,
    Listing,
    Part,
    Scope,
    address,
    at,
    event_table,
    figure,
    newest,
    one,
    select,
    table,
)
from console.search.rendering import Row
from schemas.report import Figure, ReportSection

SUBJECT_MAX: Final = 1_000  # events about a person that are looked at: to find them costs most
EACH_MAX: Final = 5  # reasons named of each
RECTIFIED: Final = "GDPR Art. 16"
ACCESS: Final = "GDPR Art. 15"
RECIPIENTS: Final = "GDPR Art. 15(1)(c)"
ERASURE: Final = "GDPR Art. 17"
TOLD: Final = "GDPR Art. 19"
CCPA: Final = "CCPA 1798.110"
_ACTOR: Final = "(user = {person:String} OR on_behalf_of = {person:String})"
# What the raw bytes don't hold, no details that weren't masked can: most rows need no parsing.
_MENTIONED: Final = (
    "(resource_id = {person:String} OR ((positionCaseInsensitiveUTF8(raw, {mention:String}) > 0 "
    "OR position(raw, '\\\\') > 0 OR details_masked != '') "
    "AND positionCaseInsensitiveUTF8(details, {mention:String}) > 0))"
)
_SUBJECT: Final = f"(user != {{person:String}} AND {_MENTIONED})"


class _Deed(NamedTuple):
    """One kind of thing done with somebody's data: what tells it in a row, and in a query."""

    name: str
    title: str
    control: str
    category: str
    verbs: frozenset[str]
    q: str

    def is_one(self, row: Row) -> bool:
        """Say whether an event is of this kind."""
        return row["category"] == self.category or row["verb"] in self.verbs


_DEEDS: Final = (
    _Deed(
        "exports",
        "What was exported of it",
        RECIPIENTS,
        "export",
        frozenset({"export", "download"}),
        "(category:export OR verb:(export OR download))",
    ),
    _Deed(
        "erased",
        "What was deleted",
        ERASURE,
        "",
        frozenset({"delete", "purge", "erase", "anonymize"}),
        "verb:(delete OR purge OR erase OR anonymize)",
    ),
    _Deed(
        "disclosures",
        "What was handed to other systems",
        TOLD,
        "integration",
        frozenset({"share", "send", "sync", "disclose"}),
        "(category:integration OR verb:(share OR send OR sync OR disclose))",
    ),
)


def parts(scope: Scope) -> Sequence[Part]:
    """Return the sections, in order; those on the subject share one question."""
    listed = newest(_as_subject(scope), "category, verb")._replace(rows=SUBJECT_MAX)
    return (
        _actor(scope),
        _origins(scope),
        _subject(scope, listed),
        *(_deed(scope, listed, deed) for deed in _DEEDS),
        _changed(listed),
    )


def _as_actor(scope: Scope) -> Conditions:
    return scope.found.also(_ACTOR, person=scope.person)


def _as_subject(scope: Scope) -> Conditions:
    mention = orjson.dumps(scope.person).decode()[1:-1]  # as it stands within JSON
    return scope.found.also(_SUBJECT, person=scope.person, mention=mention)


def _actor_q(scope: Scope, *terms: str) -> str:
    person = scope.person
    return scope.q(either(term("user", person), term("on_behalf_of", person)), *terms)


def _subject_q(scope: Scope, *terms: str) -> str:
    person = scope.person
    mentioned = either(term("resource_id", person), text(person))
    return scope.q(mentioned, term("user", person, negate=True), *terms)


def _actor(scope: Scope) -> Part:
    found = _as_actor(scope)
    sums = select(
        "count() AS events, uniqExact(session_id) AS sessions, "
        "countIf(on_behalf_of = {person:String}) AS for_them",
        found,
    )
    by_action = select(
        "toString(action) AS deed, count() AS events, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        found,
        "GROUP BY action ORDER BY events DESC, deed",
    )

    def section(answers: Answers) -> ReportSection:
        found = one(answers["sums"])
        return ReportSection(
            name="actor",
            title="What this person did",
            controls=(ACCESS, CCPA),
            says="Events that name them as user, or as the one acted for.",
            figures=(
                figure("Events", found, "events", _actor_q(scope)),
                figure("Sessions", found, "sessions", _actor_q(scope, "has:session")),
                figure(
                    "Done for them", found, "for_them", scope.q(term("on_behalf_of", scope.person))
                ),
            ),
            tables=(
                table(
                    "By action",
                    ("Action", "Events", "First (UTC)", "Last (UTC)"),
                    answers["by_action"],
                    lambda row: (
                        row["deed"],
                        row["events"],
                        at(row["first_us"]),
                        at(row["last_us"]),
                    ),
                    lambda row: _actor_q(scope, term("action", row["deed"])),
                ),
            ),
        )

    return Part({"sums": sums, "by_action": by_action}, section)


def _origins(scope: Scope) -> Part:
    origins = select(
        "IPv6NumToString(ip_address) AS origin, any(geo_country) AS country, "
        "any(client) AS a_client, count() AS events, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, count() OVER () AS total",
        _as_actor(scope).also("ip_address != toIPv6('::')"),
        "GROUP BY ip_address ORDER BY events DESC, origin",
    )

    def section(answers: Answers) -> ReportSection:
        return ReportSection(
            name="origins",
            title="Personal data in the log itself",
            controls=(ACCESS,),
            says="Addresses, countries and clients that the log keeps of this person.",
            tables=(
                table(
                    "Addresses",
                    ("Address", "Country", "Client", "Events", "First (UTC)", "Last (UTC)"),
                    answers["origins"],
                    lambda row: (
                        address(row["origin"]),
                        row["country"].strip("\0"),
                        row["a_client"],
                        row["events"],
                        at(row["first_us"]),
                        at(row["last_us"]),
                    ),
                    lambda row: _actor_q(scope, term("ip", address(row["origin"]))),
                ),
            ),
        )

    return Part({"origins": origins}, section)


def _subject(scope: Scope, listed: Listing) -> Part:
    def section(answers: Answers) -> ReportSection:
        rows = answers["listed"]
        people = _by_user(rows)
        return ReportSection(
            name="subject",
            title="Who accessed this person's data",
            controls=(RECIPIENTS, CCPA),
            says=(
                "Events of others that name them as the record, or mention them in the details."
                + _cut(rows)
            ),
            figures=(
                _count("Events", rows, _subject_q(scope)),
                _count("People and services", people, _subject_q(scope)),
            ),
            tables=(
                table(
                    "By person",
                    ("User", "Events", "What", "Reasons", "First (UTC)", "Last (UTC)"),
                    people,
                    lambda row: (
                        row["who"],
                        row["events"],
                        ", ".join(sorted(row["deeds"])),
                        "; ".join(sorted(row["reasons"])[:EACH_MAX]),
                        at(row["first_us"]),
                        at(row["last_us"]),
                    ),
                    lambda row: _subject_q(scope, term("user", row["who"])),
                ),
                event_table("Newest first", rows),
            ),
        )

    return Part({"listed": listed}, section)


def _deed(scope: Scope, listed: Listing, deed: _Deed) -> Part:
    def section(answers: Answers) -> ReportSection:
        rows = answers["listed"]
        own = None if rows is None else [row for row in rows if deed.is_one(row)]
        return ReportSection(
            name=deed.name,
            title=deed.title,
            controls=(deed.control,),
            says=_cut(rows),
            figures=(_count("Events", own, _subject_q(scope, deed.q)),),
            tables=(event_table("Newest first", own),),
        )

    return Part({"listed": listed}, section)


def _changed(listed: Listing) -> Part:
    def section(answers: Answers) -> ReportSection:
        rows = answers["listed"]
        own = None if rows is None else [row for row in rows if row["changed"]]
        return ReportSection(
            name="changes",
            title="What was changed in it",
            controls=(RECTIFIED,),
            says=_cut(rows),
            tables=(event_table("Newest first", own),),
        )

    return Part({"listed": listed}, section)


def _by_user(rows: Sequence[Row] | None) -> list[dict[str, Any]] | None:
    """Return what each user did, the most often first."""
    if rows is None:
        return None
    found: dict[str, dict[str, Any]] = {}
    for row in rows:  # the newest first
        own = found.setdefault(
            row["user"],
            {
                "who": row["user"],
                "events": 0,
                "deeds": set(),
                "reasons": set(),
                "last_us": row["occurred_us"],
            },
        )
        own["events"] += 1
        own["first_us"] = row["occurred_us"]
        own["deeds"] |= {row["verb"]} - {""}
        own["reasons"] |= {row["why"]} - {""}
    return sorted(found.values(), key=lambda own: (-own["events"], own["who"]))


def _count(name: str, rows: Sequence[object] | None, query: str) -> Figure:
    if rows is None:
        return figure(name, None, "", None)
    return Figure(name=name, value=len(rows), query=query)


def _cut(rows: Sequence[Row] | None) -> str:
    """Say that there are more events than were looked at, if so."""
    if rows is None or len(rows) < SUBJECT_MAX:
        return ""
    return f" Of the newest {SUBJECT_MAX:,} such events; choose a shorter period for the others."
