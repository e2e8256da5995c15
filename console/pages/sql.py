"""The SQL page: one statement on the documented views, its rows, and what the views hold."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from console.pages.page import Page, Table, page
from console.sql.asking import SqlAsked, answer, desk_of, told
from console.sql.desk import Answer
from console.sql.views import views_of
from console.web.context import Api, Asked, saw
from console.web.problems import Refused

routes: Final = APIRouter()
SHOWN_MAX: Final = 500  # rows of HTML; more are in the CSV
CELL_MAX: Final = 2_000  # characters of a cell; all of it is in the CSV
EXAMPLES: Final = {
    "Who did most": """\
SELECT user, count() AS events
FROM events_v1
GROUP BY user
ORDER BY events DESC
LIMIT 20""",
    "Failed sign-ins an hour": """\
SELECT toStartOfHour(timestamp) AS hour, count() AS failed
FROM events_v1
WHERE category = 'authentication' AND result = 'failure'
GROUP BY hour
ORDER BY hour""",
    "What was changed, from what to what": """\
SELECT timestamp, user, action, path, before, after
FROM changes_v1
ORDER BY timestamp DESC
LIMIT 50""",
    "Alerts by rule": """\
SELECT rule_id, severity, count() AS alerts
FROM alerts_v1
GROUP BY rule_id, severity
ORDER BY alerts DESC""",
}


@page(routes, "/sql", "run_sql")
async def show_sql(api: Asked, request: Request, asked: Annotated[SqlAsked, Query()]) -> Page:
    """Run the statement, if there is one, and show what may be asked."""
    is_html = not request.url.path.endswith((".json", ".csv"))
    data: dict[str, Any] = {"asked": asked.model_dump(), "answer": None}
    view: dict[str, Any] = {"fault": None, "cells": [], "views": [], "hidden": 0}
    view["examples"] = list(EXAMPLES.items())
    if not asked.sql.strip():
        await saw(api, "/sql", {}, 0)
        return Page("sql.html", "SQL", data, None, view | {"views": await _views(api)})
    try:
        found = await answer(api, asked, "/sql")
    except Refused as error:
        if not is_html:
            raise
        fault = {"said": error.detail, "cure": error.cure}
        views = await _views(api)
        return Page("sql.html", "SQL", data, None, view | {"fault": fault, "views": views}, 400)
    data["answer"] = told(found)
    rows = [[_text(value) for value in row] for row in found.rows]
    if is_html:
        cells = [[cell[:CELL_MAX] for cell in row] for row in rows[:SHOWN_MAX]]
        hidden = max(0, len(rows) - SHOWN_MAX)
        view |= {"cells": cells, "hidden": hidden, "views": await _views(api)}
    return Page("sql.html", "SQL", data, _table(found), view)


async def _views(api: Api) -> list[dict[str, Any]]:
    columns = await desk_of(api).columns()
    return [
        {"name": view.name, "about": view.about, "columns": columns.get(view.name, [])}
        for view in views_of(api.principal)
    ]


def _table(found: Answer) -> Table:
    return Table(found.columns, [[_cell(value) for value in row] for row in found.rows])


def _cell(value: object) -> object:
    """Return a value of a CSV; what has parts is JSON."""
    return _text(value) if isinstance(value, list | dict) else value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
