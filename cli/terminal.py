"""What may reach a terminal or a spreadsheet: untrusted text made harmless, tables, formats."""

import csv
import io
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from schemas.spreadsheet import defused

GAP: Final = 2  # spaces between two columns
HEAD: Final = "bold"
SEVERITY_STYLES: Final[Mapping[str, str]] = MappingProxyType(
    {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
)

out: Final = Console(highlight=False, soft_wrap=False)
err: Final = Console(highlight=False, stderr=True)


class Column(NamedTuple):
    """One column of a table. On a narrow terminal it may be clipped to `least` cells.

    Where that is not enough it goes as a whole: the highest `drop` first, 0 never.
    """

    heading: str
    least: int | None = None
    drop: int = 0
    styles: Mapping[str, str] = MappingProxyType({})


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


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Column],
    *,
    told: Collection[str] = frozenset(),
) -> tuple[str, ...]:
    """Print one row a line and return the keys of the columns that there was no room for.

    They are named on standard error, but for those in `told`. On a pipe nothing is left out.
    """
    if not rows:
        return ()
    texts = {key: [cell(row.get(key)) for row in rows] for key in columns}
    natural = {
        key: max([cell_len(columns[key].heading), *map(cell_len, texts[key])]) for key in columns
    }
    widths = fit(natural, columns, out.width) if out.is_terminal else natural
    _print_line(widths, {key: columns[key].heading for key in widths}, dict.fromkeys(widths, HEAD))
    for index in range(len(rows)):
        line = {key: texts[key][index] for key in widths}
        _print_line(widths, line, {key: columns[key].styles.get(line[key], "") for key in widths})
    dropped = tuple(key for key in columns if key not in widths)
    names = [columns[key].heading for key in dropped if key not in told]
    if names:
        err.print(
            f"No room for {', '.join(names)}: widen the terminal, or see --json.",
            style="dim",
            soft_wrap=True,
        )
    return dropped


def fit(natural: Mapping[str, int], columns: Mapping[str, Column], room: int) -> dict[str, int]:
    """Return the width of each column that stays. Pure.

    What can be clipped is asked for its least first, then whole columns go; what is left of the
    room is shared by those that would have more, the narrowest satisfied first.
    """

    def least(key: str) -> int:
        clipped = columns[key].least
        return natural[key] if clipped is None else min(natural[key], clipped)

    kept = list(columns)
    for key in sorted((key for key in kept if columns[key].drop), key=lambda k: -columns[k].drop):
        if sum(map(least, kept)) + GAP * (len(kept) - 1) <= room:
            break
        kept.remove(key)
    widths = {key: least(key) for key in kept}
    spare = room - sum(widths.values()) - GAP * (len(kept) - 1)
    hungry = sorted((key for key in kept if widths[key] < natural[key]), key=natural.__getitem__)
    while spare > 0 and hungry:
        share = spare // len(hungry)
        given = min(natural[hungry[0]] - widths[hungry[0]], share)
        widths[hungry[0]] += given
        spare -= given
        hungry.pop(0)
    return widths


def _print_line(
    widths: Mapping[str, int], texts: Mapping[str, str], styles: Mapping[str, str]
) -> None:
    line = Text()
    last = next(reversed(list(widths)), "")
    for key, width in widths.items():
        text = Text(texts[key])
        text.truncate(width, overflow="ellipsis", pad=key != last)
        text.stylize(styles[key])
        line.append_text(text).append("" if key == last else " " * GAP)
    line.rstrip()
    out.print(line, soft_wrap=True)


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
    yield _csv_line([defused(column) for column in columns])
    for row in rows:
        yield _csv_line([defused(cell(row.get(column))) for column in columns])


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
