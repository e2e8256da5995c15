"""What may reach a terminal or a spreadsheet: untrusted text made harmless, tables, formats."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

CELL_CHARACTERS_MAX: Final = 60  # a wider cell pushes the others off a usual screen
YIELDING: Final = frozenset(
    {"user", "action", "resource", "ip_address", "title", "alert_id", "reason", "hint"}
)
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

out: Final = Console(highlight=False, soft_wrap=False)
err: Final = Console(highlight=False, stderr=True)


def visible(text: str) -> str:
    """Return the text with every control, bidi and unassigned character as a visible escape.

    What is printed can then neither move the cursor nor reorder the line. Idempotent.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text
    )


def cell(value: object) -> str:
    """Return one line of visible text for a table's cell; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict | list | tuple):
        return visible(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    return str(value)


def clip(text: str, characters_max: int = CELL_CHARACTERS_MAX) -> str:
    """Shorten to at most that many characters, the last of them an ellipsis."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"


def defuse(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def print_table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Print one row a line; `columns` maps key to heading. On a pipe nothing is clipped.

    On a narrow terminal long names give way first; times, results and counts stay whole.
    """
    is_terminal = out.is_terminal
    texts = [[cell(row.get(key)) for key in columns] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, (key, heading) in enumerate(columns.items()):
        width = max([len(heading), *(len(row[index]) for row in texts)])
        least = None if key in YIELDING else min(width, CELL_CHARACTERS_MAX)
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=least)
    for row in texts:
        table.add_row(*(Text(clip(text) if is_terminal else text) for text in row))
    if is_terminal:
        out.print(table)
    else:
        Console(file=sys.stdout, width=100_000, highlight=False).print(table)


def print_json(value: object) -> None:
    """Print indented JSON; control characters are escaped by JSON itself."""
    sys.stdout.write(json_text(value, indent=2) + "\n")


def json_text(value: object, indent: int | None = None) -> str:
    """Return JSON that is safe on a terminal: what JSON lets through raw is escaped too."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if indent is None and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else "".join(_utf16_escapes(c)) for c in text)


def _utf16_escapes(character: str) -> Iterable[str]:
    units = character.encode("utf-16-be", "surrogatepass")
    for high, low in zip(units[::2], units[1::2], strict=True):
        yield f"\\u{high:02x}{low:02x}"


def csv_lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterable[str]:
    """Yield RFC 4180 lines, the heading first; objects as JSON, formulas defused."""
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line([defuse(cell(row.get(column))) for column in columns])


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
