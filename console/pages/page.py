"""A page as data, and its three forms: HTML for people, JSON for programs, CSV for spreadsheets."""

import csv
import inspect
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import RedirectResponse

from console.access import Permission
from console.pages.rendering import render
from console.web.context import NOBODY, api_of, each_once, needs
from console.web.problems import Refused
from schemas.spreadsheet import defused

Shape = Literal["html", "json", "csv"]
FORMS: Final[tuple[tuple[str, Shape], ...]] = ((".json", "json"), (".csv", "csv"), ("", "html"))


@dataclass(frozen=True, slots=True)
class Table:
    """What a page's CSV holds."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page. `data` is what its JSON answers and its template sees as `data`.

    `view` is what only the template needs; `table` what its CSV answers, None if it has none.
    """

    template: str
    title: str
    data: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


Handler = Callable[..., Awaitable[Page | Response]]


def page(router: APIRouter, path: str, permission: Permission) -> Callable[[Handler], Handler]:
    """Register a handler for a path as HTML, and with .json and .csv behind it.

    The handler takes what FastAPI gives (`api: Asked`, `asked: Annotated[Model, Query()]`) and
    calls `saw` once. A path that ends in / has its other forms at `index.json` and `index.csv`.
    """

    def register(handler: Handler) -> Handler:
        for suffix, form in FORMS:
            full = f"{path}index{suffix}" if suffix and path.endswith("/") else path + suffix
            router.add_api_route(
                full,
                _endpoint(handler, form),
                methods=["GET"],
                name=f"{handler.__name__}{suffix}",
                response_model=None,
                dependencies=[needs(permission), Depends(each_once)],
            )
        return handler

    return register


def action(router: APIRouter, path: str, permission: Permission) -> Callable[[Handler], Handler]:
    """Register a handler for the form that a page posts; it ends with `see(path)`, or with a page.

    The handler takes `form: Fields` (console/pages/form.py): only a form of its session passes.
    """

    def register(handler: Handler) -> Handler:
        router.add_api_route(
            path,
            _endpoint(handler, "html"),
            methods=["POST"],
            name=handler.__name__,
            response_model=None,
            dependencies=[needs(permission), Depends(each_once)],
        )
        return handler

    return register


def see(path: str) -> Response:
    """Return the answer to a form that has done its work: look there."""
    assert path.startswith("/"), "only our own pages"
    assert not path.startswith("//"), "which would be another host"
    return RedirectResponse(path, status_code=303)


def respond(request: Request, shown: Page | Response, form: Shape) -> Response:
    """Return a page in the form asked for."""
    if isinstance(shown, Response):
        return shown
    if form == "json":
        return Response(orjson.dumps(shown.data), shown.status, media_type="application/json")
    if form == "csv":
        if shown.table is None:
            raise Refused("not_found", "this page is no table", cure="ask for it as .json")
        headers = {"content-disposition": 'attachment; filename="audit.csv"'}
        return Response(to_csv(shown.table), shown.status, headers, "text/csv; charset=utf-8")
    principal = api_of(request).principal
    body = render(
        shown.template,
        {
            **shown.view,
            "data": shown.data,
            "title": shown.title,
            "principal": None if principal is NOBODY else principal,
            "path": quote(request.scope["path"]),
            "query": request.url.query,
            "has_table": shown.table is not None,
        },
    )
    return Response(body, shown.status, media_type="text/html; charset=utf-8")


def to_csv(table: Table) -> str:
    """Return the table as CSV that no spreadsheet takes for formulas."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([_cell(name) for name in table.columns])
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return a value that a spreadsheet shows instead of running it; numbers stay numbers."""
    if isinstance(value, str):
        return defused(value)
    return "" if value is None else value


def _endpoint(handler: Handler, form: Shape) -> Callable[..., Awaitable[Response]]:
    signature = inspect.signature(handler)
    asked = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    given = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for one in signature.parameters.values()
        if one.name != "request"
    ]
    takes_request = "request" in signature.parameters

    async def endpoint(request: Request, **values: object) -> Response:
        if takes_request:
            values["request"] = request
        return respond(request, await handler(**values), form)

    endpoint.__signature__ = inspect.Signature([asked, *given])  # type: ignore[attr-defined] # FastAPI reads it
    endpoint.__doc__ = handler.__doc__
    return endpoint
