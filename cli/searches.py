"""The command `searches`: list the saved searches, to be run with `audit search`."""

from pathlib import Path
from typing import Final

import click

from cli.context import api_options, ends_well, json_option, open_client
from cli.showing import short
from cli.terminal import Column, err, print_json, print_table

SEARCH_TABLE: Final = {
    "changed": Column("CHANGED (UTC)", drop=1),
    "name": Column("NAME", least=16),
    "q": Column("QUERY", least=24),
    "owner": Column("OWNER"),
    "shared": Column("SHARED"),
}


@click.group()
def searches() -> None:
    """List saved searches."""


@searches.command("list")
@api_options
@json_option
@ends_well
def list_searches(*, data: Path, api: str | None, token_file: Path | None, as_json: bool) -> None:
    """List one's own saved searches, and those that others share."""
    client = open_client(data, api, token_file)
    found = client.get("/searches", {})["searches"]
    if as_json:
        print_json(found)
        return
    rows = [
        {
            **one,
            "changed": short(one["changed"]),
            "owner": "you" if one["own"] else one["owner"],
            "shared": "yes" if one["shared"] else "no",
        }
        for one in found
    ]
    print_table(rows, SEARCH_TABLE)
    if not found:
        err.print("No saved searches: save one on the search page.")
