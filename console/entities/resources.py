"""The history of a resource: who changed it, when, why, from what to what, and its value then."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from console.entities.diff import ABSENT, named, read, text_of
from console.entities.everything import CHANGE_VERBS, CHANGING
from console.entities.timeline import LOUD
from console.query.conditions import Conditions, Query
from console.search.brief import FAILED
from console.search.moment import rfc3339, store_text
from console.search.rendering import Row
from schemas.tables import EVENTS

HISTORY_MAX: Final = 50  # changes on a page; the reason of each costs a block of raw bytes
STEPS_MAX: Final = 1_000  # changes looked through for the value at a moment, on either side
LISTED_MAX: Final = 200  # resources, where none is asked for
PATHS_MAX: Final = 200
SHORT_LINES: Final = 2  # paths of a change in one line
SHORT_MAX: Final = 60  # characters of each side there


def changing(found: Conditions) -> Conditions:
    """Narrow to events that changed something, or tried to."""
    return found.also(CHANGING, h_verbs=list(CHANGE_VERBS))


def steps(found: Conditions, at_us: int, *, is_before: bool) -> Query:
    """Build the query for the changes on one side of a moment that took hold, nearest first."""
    side, order = ("<=", "DESC") if is_before else (">", "ASC")
    found = (
        found.also("notEmpty(changed)")
        .also("result NOT IN {h_failed:Array(String)}", h_failed=list(FAILED))
        .also(f"occurred {side} {{h_at:DateTime64(6, 'UTC')}}", h_at=store_text(at_us))
    )
    sql = (
        "SELECT changed, before, after, action, event_id, user, resource_id, "
        f"toUnixTimestamp64Micro(occurred) AS occurred_us FROM {EVENTS} WHERE {found.where()} "
        f"ORDER BY intDiv(toUnixTimestamp64Micro(occurred), 60000000) {order}, occurred {order}, "
        f"partition {order}, offset {order} LIMIT {{rows:UInt32}}"
    )
    return Query(sql, {**found.parameters, "rows": STEPS_MAX})


def listed(found: Conditions) -> Query:
    """Build the query for the resources that there are, the most touched first."""
    found = found.also("resource != ''")
    sql = (
        "SELECT resource, count() AS events, uniq(resource_id) AS parts, uniq(user) AS people, "
        "countIf(notEmpty(changed)) AS changes, "
        f"toUnixTimestamp64Micro(max(occurred)) AS last_us FROM {EVENTS} WHERE {found.where()} "
        "GROUP BY resource ORDER BY events DESC, resource LIMIT {rows:UInt32}"
    )
    return Query(sql, {**found.parameters, "rows": LISTED_MAX})


def values_at(before: Sequence[Row], after: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the value of each path at a moment, by the nearest change on either side.

    `before` and `after` are the changes up to the moment and since then, nearest first. A change
    before says what it became; without one, the first change after says what it had been.
    """
    values: dict[tuple[str, str], dict[str, Any]] = {}
    for rows, side, said in ((before, "after", "set"), (after, "before", "as found")):
        for key, text, row in _sides(rows, side):
            if key not in values and len(values) < PATHS_MAX:
                values[key] = _value(key, text, row, said)
    return sorted(values.values(), key=lambda value: (value["resource_id"] or "", value["path"]))


def marked(found: Conditions) -> Conditions:
    """Narrow to changes that a rule matched, or that are grave."""
    return found.also("(notEmpty(rules) OR severity IN {h_loud:Array(String)})", h_loud=list(LOUD))


def is_marked(change: Mapping[str, Any]) -> bool:
    """Say whether a change in brief stands out: a rule matched it, or it is grave."""
    return bool(change["rules"]) or change["severity"] in LOUD


def runs(changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the changes as lines, newest first; a run of the same by the same user is one.

    What stands out is always a line of its own.
    """
    found: list[dict[str, Any]] = []
    keys: list[object] = []
    for change in changes:
        key = None if is_marked(change) else _same(change)
        if key is not None and keys and keys[-1] == key:
            found[-1]["changes"].append(change)
        else:
            found.append({"changes": [change], "marked": is_marked(change)})
            keys.append(key)
    return [run | {"short": _short(run["changes"])} for run in found]


def _same(change: Mapping[str, Any]) -> object:
    names = ("user", "action", "result", "resource_id", "reason")
    return *(change[name] for name in names), *(line["path"] for line in change["changes"])


def _short(run: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the first paths of a run with what it found and what it left."""
    newest, oldest = run[0]["changes"], run[-1]["changes"]
    return [
        {"path": new["path"], "before": _clip(old["before"]), "after": _clip(new["after"])}
        for new, old in list(zip(newest, oldest, strict=False))[:SHORT_LINES]
    ]


def _clip(text: str | None) -> str:
    if text is None:
        return "not set"
    return text if len(text) <= SHORT_MAX else f"{text[:SHORT_MAX]}…"


def render_listed(row: Row) -> dict[str, Any]:
    """Return one resource of the list."""
    names = ("resource", "events", "parts", "people", "changes")
    return {**{name: row[name] for name in names}, "last": rfc3339(row["last_us"])}


def _sides(rows: Iterable[Row], side: str) -> Iterable[tuple[tuple[str, str], str, Row]]:
    for row in rows:
        for path, text in zip(row["changed"], row[side], strict=False):
            yield (row["resource_id"], named(path, row["action"])), text, row


def _value(key: tuple[str, str], text: str, row: Mapping[str, Any], said: str) -> dict[str, Any]:
    value = read(text)
    return {
        "resource_id": key[0] or None,
        "path": key[1],
        "value": None if value is ABSENT else text_of(value),
        "said": said,
        "event_id": row["event_id"],
        "user": row["user"],
        "timestamp": rfc3339(row["occurred_us"]),
    }
