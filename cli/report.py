"""The command `report`: facts for auditors of a period, as text, JSON or CSV."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.context import api_options, ends_well, open_client
from cli.terminal import csv_lines, out, print_json, visible
from schemas.report import LINE_COLUMNS, lines_of, said_of

FORMATS: Final = ("text", "json", "csv")
NAMES: Final = ("access-control", "protected-records", "data-subject")

Report = Mapping[str, Any]


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option("--since", default="30d", show_default=True, help="RFC 3339, a date, 90d, or all.")
@click.option("--until", help="As --since; exclusive.")
@click.option("--person", help="Whom a data-subject report is about: name or id in events.")
@click.option("--resource", help="Only events on this resource.")
@click.option("--user", help="Only events of this user.")
@click.option("--tenant", help="Only this tenant.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How to print it.",
)
@api_options
@ends_well
def report(
    *, name: str, form: str, data: Path, api: str | None, token_file: Path | None, **asked: str
) -> None:
    """Make a report: access-control (SOC 2, ISO 27001), protected-records (HIPAA), data-subject.

    Each figure comes with the query that finds its events: audit search 'QUERY'.
    """
    found = open_client(data, api, token_file).get(f"/reports/{name}", asked)
    if form == "json":
        print_json(found)
    elif form == "csv":
        rows = (dict(zip(LINE_COLUMNS, line, strict=True)) for line in lines_of(found))
        for line in csv_lines(rows, LINE_COLUMNS):
            click.echo(line, nl=False)
    else:
        for text in texts_of(found):
            out.print(visible(text), markup=False, highlight=False, soft_wrap=True)


def texts_of(found: Report) -> Iterator[str]:
    """Yield a report as lines of text."""
    yield f"{found['title']}: {found['about']}"
    yield f"Period   {found['since'] or 'the beginning'} to {found['until']}"
    scope = ", ".join(f"{key} {value}" for key, value in found["scope"].items())
    yield f"Scope    {scope or 'tenant ' + (found['tenant'] or 'all')}"
    yield f"Made     {found['generated_at']} by {found['generated_by']}"
    yield f"Query    {found['query']}"
    yield f"Software {found['software']}; rule sets {', '.join(found['rule_sets']) or 'none'}"
    yield f"Ledger   {found['proof']['sentence']}"
    for number, section in enumerate(found["sections"], 1):
        yield ""
        yield f"{number}. {section['title']}  [{', '.join(section['controls'])}]"
        if section["says"]:
            yield f"   {section['says']}"
        for figure in section["figures"]:
            value = "?" if figure["value"] is None else f"{figure['value']:,}"
            yield f"   {figure['name']:<32} {value:>12}  {figure['note']}".rstrip()
        for table in section["tables"]:
            yield f"   {table['title']}:"
            if not table["rows"]:
                yield f"     {table['empty']}"
            for row in table["rows"]:
                yield f"     {said_of(table, row)}"
            if table["total"] is None or table["total"] > len(table["rows"]):
                yield "     … and more"
