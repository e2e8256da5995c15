"""How reports lie on paper."""

import re
from importlib.resources import files

CSS = (files("console.pages") / "static" / "reports.css").read_text()
PAPER = CSS[CSS.index("@media print") :]


def test_reports_lie_across_so_that_their_tables_have_room() -> None:
    assert "size: A4 landscape" in PAPER


def test_words_of_short_columns_are_not_broken_on_paper() -> None:
    anywhere = re.findall(r"([^{}]+)\{[^}]*overflow-wrap: anywhere", PAPER)

    assert anywhere
    for selectors in anywhere:
        assert all("td.long" in selector for selector in re.split(r", (?![^(]*\))", selectors))
