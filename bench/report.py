"""Results as tables, as JSON in bench/results/, and between the markers of docs/performance.md."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Table:
    """What one section measured; `command` repeats it."""

    section: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    command: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return a table with the command that made it."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        aligned = [_is_number(row.get(name)) for name in names for row in self.rows[:1]]
        lines = [
            f"### {self.title}",
            "",
            f"`{self.command or f'python -m bench {self.section}'}`",
            "",
            "| " + " | ".join(names) + " |",
            "|" + "|".join(" ---: " if right else " --- " for right in aligned) + "|",
        ]
        lines += [
            "| " + " | ".join(_shown(row.get(name)) for name in names) + " |" for row in self.rows
        ]
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(lines) + "\n"


def machine() -> str:
    """Say on what was measured."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}"


def keep(table: Table) -> None:
    """Write a table's numbers to bench/results/."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{table.section}.json"
    content = {
        "title": table.title,
        "machine": machine(),
        "command": table.command,
        "rows": list(table.rows),
        "notes": list(table.notes),
        "facts": table.facts,
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write(tables: Sequence[Table]) -> None:
    """Put each table between its markers in docs/performance.md; the rest stays as it is."""
    text = PAGE.read_text(encoding="utf-8")
    for table in tables:
        begin, end = f"<!-- {table.section} -->", f"<!-- /{table.section} -->"
        if begin not in text or end not in text:
            raise SystemExit(f"{PAGE.name} has no place {begin} for this table")
        before, rest = text.split(begin, 1)
        after = rest.split(end, 1)[1]
        body = f"{table.markdown()}\nMeasured on {machine()}.\n"
        text = f"{before}{begin}\n{body}{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
