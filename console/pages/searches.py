"""Saved searches: the list, and the forms that save, rename and delete."""

from typing import Final

from fastapi import APIRouter, Response

from console.pages.form import Fields, Form
from console.pages.page import Page, Table, action, page, see
from console.search import saved
from console.search.question import Asking, question
from console.web.context import Asked, saw
from schemas.searches import COLUMNS_MAX, NAME_MAX, QUERY_MAX, SearchToSave

routes: Final = APIRouter()
COLUMNS: Final = ("name", "q", "columns", "owner", "shared", "changed")


@page(routes, "/searches", "save_searches")
async def show_searches(api: Asked) -> Page:
    """List one's own saved searches and those shared with one."""
    found = await saved.visible_to(api)
    await saw(api, "/searches", {}, len(found))
    table = Table(COLUMNS, [[one[name] for name in COLUMNS] for one in found])
    return Page("searches.html", "Saved searches", {"searches": found}, table)


@action(routes, "/searches", "save_searches")
async def save_search(api: Asked, form: Fields) -> Response:
    """Save a search under a name; one's own of that name is replaced."""
    asked = _asked(form)
    question(api.principal, Asking(q=asked.q), api.clock.now_ms() * 1000)
    await saved.save(api, asked)
    return see("/searches")


@action(routes, "/searches/rename", "save_searches")
async def rename_search(api: Asked, form: Fields) -> Response:
    """Give one's own search another name."""
    name = form.required("name", length_max=NAME_MAX)
    await saved.rename(api, form.required("search_id"), name)
    return see("/searches")


@action(routes, "/searches/delete", "save_searches")
async def delete_search(api: Asked, form: Fields) -> Response:
    """Delete one's own search."""
    await saved.delete(api, form.required("search_id"))
    return see("/searches")


def _asked(form: Form) -> SearchToSave:
    return SearchToSave(
        name=form.required("name", length_max=NAME_MAX),
        q=form.text("q", length_max=QUERY_MAX),
        columns=form.text("columns", length_max=COLUMNS_MAX),
        shared=bool(form.text("shared")),
    )
