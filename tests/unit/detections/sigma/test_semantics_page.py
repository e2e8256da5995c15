"""docs/semantics.md is true: each test it names exists, and each decision's test is named."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")


def names_of_tests(pattern: str) -> set[str]:
    return {
        name
        for path in (ROOT / "tests").glob(pattern)
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - names_of_tests("**/test_*.py") == set()


def test_every_test_of_a_decision_is_on_the_page() -> None:
    assert (
        names_of_tests("unit/detections/sigma/test_semantics.py")
        - set(re.findall(r"test_\w+", PAGE))
        == set()
    )
