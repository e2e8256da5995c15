"""The command `sql`: one SELECT on the documented views, as table, JSON or CSV."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from cli.context import api_options, ends_well, open_client
from cli.terminal import Column, csv_lines, err, print_json, print_table

FORMATS: Final = ("table", "json", "jsonl", "csv")
STDIN: Final = "-"


@click.command()
@click.argument("statement")
@click.option("--since", default="30d", show_default=True, help="RFC 3339, a date, or 7d.")
@click.option("--until", help="As --since; exclusive.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="How to print it.",
)
@api_options
@ends_well
def sql(
    *,
    statement: str,
    since: str,
    until: str | None,
    limit: int,
    form: str,
    data: Path,
    api: str | None,
    token_file: Path | None,
) -> None:
    """Run one SELECT on the views of docs/sql.md: events_v1, alerts_v1 … - reads it from a pipe.

    It sees rows of the period alone, and is itself in the audit log.
    """
    text = sys.stdin.read() if statement == STDIN else statement
    asked = {"sql": text, "since": since, "until": until or "", "limit": limit}
    found = open_client(data, api, token_file).post("/sql", asked)
    names = distinct(found["columns"])
    rows = [dict(zip(names, row, strict=True)) for row in found["rows"]]
    if form == "json":
        print_json(found)
    elif form == "jsonl":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    elif form == "csv":
        sys.stdout.writelines(csv_lines(rows, names))
    else:
        print_table(rows, {name: Column(name) for name in names})
        if not rows:
            err.print(f"No rows since {since}: a longer --since may find some.", style="dim")
    if found["more"]:
        err.print(f"There are more than {limit} rows: see --limit.", style="dim")


def distinct(names: Sequence[str]) -> list[str]:
    """Return the columns' names, each once: a second `n` is `n_2`."""
    found: dict[str, Any] = {}
    for name in names:
        own, number = name, 1
        while own in found:
            number += 1
            own = f"{name}_{number}"
        found[own] = None
    return list(found)
