"""Who accessed this data, and did this user: people with counts, and the answer in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.query.conditions import Conditions, Query
from console.search.moment import rfc3339
from console.search.rendering import Row, render_address
from schemas.ledger import Ledger
from schemas.tables import EVENTS

PEOPLE_MAX: Final = 200  # on a page; how many there are in all is counted
EACH_MAX: Final = 5  # reasons, people acted for, and deeds that are named of each


def people(found: Conditions) -> Query:
    """Build the query for who touched it, the most often first."""
    sql = (
        "SELECT user AS who, count() AS events, countIf(result IN ('success', 'unknown')) AS done, "
        "countIf(result = 'denied') AS denied, countIf(result IN ('failure', 'error')) AS failed, "
        "uniqIf(resource_id, resource_id != '') AS records, any(role) AS a_role, "
        "any(department) AS a_department, "
        "toUnixTimestamp64Micro(min(occurred)) AS first_us, "
        "toUnixTimestamp64Micro(max(occurred)) AS last_us, "
        "toUnixTimestamp64Micro(maxIf(occurred, result IN ('success', 'unknown'))) AS done_us, "
        f"groupUniqArrayIf({EACH_MAX})(reason, reason != '') AS reasons, "
        "countIf(reason != '') AS with_reason, "
        f"groupUniqArrayIf({EACH_MAX})(on_behalf_of, on_behalf_of != '') AS for_whom, "
        f"groupUniqArray({EACH_MAX})(toString(verb)) AS verbs, "
        "IPv6NumToString(anyLast(ip_address)) AS address, "
        "countIf(has(flags, 'off_hours')) AS off_hours, "
        "countIf(has(flags, 'break_glass')) AS break_glass, "
        "countIf(has(flags, 'break_glass') AND reason = '') AS break_glass_without_reason, "
        "count() OVER () AS people "
        f"FROM {EVENTS} WHERE {found.where()} GROUP BY user "
        "ORDER BY events DESC, who LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": PEOPLE_MAX})


def elsewhere(found: Conditions, user: str, part: str) -> Query:
    """Build the query for how often a user accessed other records than the one asked for."""
    found = found.also(
        "user = {o_user:String} AND resource_id != {o_part:String}", o_user=user, o_part=part
    ).also("result IN ('success', 'unknown')")
    sql = (
        "SELECT count() AS done, toUnixTimestamp64Micro(max(occurred)) AS done_us "
        f"FROM {EVENTS} WHERE {found.where()}"
    )
    return Query(sql, found.parameters)


def render_elsewhere(resource: str, row: Row) -> dict[str, Any]:
    """Return what is known of the rest of the resource, with the words for it."""
    if not row["done"]:
        return {"done": 0, "last": None, "said": f"To other records of {resource}: never."}
    last = rfc3339(row["done_us"])
    said = f"To other records of {resource}: {_times(row['done'])}, last at {_shown(last)}."
    return {"done": row["done"], "last": last, "said": said}


def render_person(row: Row) -> dict[str, Any]:
    """Return one line of the list."""
    names = (
        "events", "done", "denied", "failed", "records", "with_reason", "off_hours", "break_glass",
        "break_glass_without_reason",
    )  # fmt: skip
    return {
        "user": row["who"],
        "role": row["a_role"] or None,
        "department": row["a_department"] or None,
        **{name: row[name] for name in names},
        "first": rfc3339(row["first_us"]),
        "last": rfc3339(row["last_us"]),
        "last_done": rfc3339(row["done_us"]) if row["done"] else None,
        "reasons": sorted(row["reasons"]),
        "on_behalf_of": sorted(row["for_whom"]),
        "verbs": sorted(verb for verb in row["verbs"] if verb),
        "ip_address": render_address(row["address"]),
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer in words is about: the data, the period, and what the ledger adds."""

    what: str
    words: str
    proof: str


def verdict(user: str, asked: Asked, person: dict[str, Any] | None, others: int) -> str:
    """Answer in words: did this user access this data, and who else did."""
    what, words, proof = asked.what, asked.words, asked.proof
    company = f" {_people(others)} else did." if others else " Nobody else did."
    if person is None:
        return f"No event says that {user} accessed {what} {words}{proof}.{company}"
    parts = []
    if person["done"]:
        parts.append(f"Yes: {user} accessed {what} {_times(person['done'])} {words}")
        parts[0] += f", last at {_shown(person['last_done'])}."
    else:
        parts.append(f"No: {user} tried, and never succeeded, to access {what} {words}.")
    for name, said in (("denied", "denied"), ("failed", "refused or broken off with an error")):
        if person[name]:
            verb = "was" if person[name] == 1 else "were"
            parts.append(f"{_attempts(person[name])} {verb} {said}.")
    return " ".join(parts) + company


def summary(asked: Asked, found: Sequence[dict[str, Any]], total: int) -> str:
    """Say in words how many people accessed it."""
    what, words, proof = asked.what, asked.words, asked.proof
    if not total:
        return f"No event says that anybody accessed {what} {words}{proof}."
    if len(found) < total:
        return f"{_people(total)} accessed {what} {words}, or tried to."
    events = sum(person["events"] for person in found)
    only_denied = sum(1 for person in found if not person["done"])
    tail = f" {_people(only_denied)} of them never succeeded." if only_denied else ""
    return f"{_people(total)} accessed {what}, or tried to, {_times(events)} {words}.{tail}"


def proof_of(ledger: Ledger | None) -> str:
    """Say what the ledger adds to a sentence that says that there is nothing."""
    if ledger is None:
        return ", but the ledger can't be asked right now, so that gaps can't be ruled out"
    if ledger.difference:
        return ", but the ledger does not balance: events may be missing"
    late = f"; {ledger.lag:,} events that just came are not stored yet" if ledger.lag else ""
    return f", and the ledger has no gap in that time{late}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count:,} attempts"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


def _shown(moment: str) -> str:
    return f"{moment[:19].replace('T', ' ')} UTC"
