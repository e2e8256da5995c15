"""The docs are true: what the code has is in them, and what they name exists."""

import ast
import re
from pathlib import Path

import pytest

from cli.main import COMMANDS
from cli.reference import configuration, detections, files, metrics
from runtime.configuration import OTHER_NAMES
from runtime.settings import ALL
from schemas import errors, tables, topics

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md")), ROOT / "deploy/README.md"]


def _text(name: str) -> str:
    return (DOCS / name).read_text()


def test_every_setting_is_documented_as_it_is() -> None:
    assert _text("configuration.md") == configuration()


def test_every_metric_is_documented_as_it_is() -> None:
    assert _text("metrics.md") == metrics()


@pytest.mark.parametrize("error", [n for n in vars(errors) if n[0].isupper()])
def test_every_error_says_who_must_act(error: str) -> None:
    assert f"`{error}`" in _text("operations.md")


def test_every_detection_is_documented_as_it_is() -> None:
    assert _text("detections.md") == detections()


@pytest.mark.parametrize("name", [c for c in COMMANDS if c != "sample"])
def test_every_command_is_in_the_readme(name: str) -> None:
    assert f"audit {name}" in (ROOT / "README.md").read_text()


def test_every_topic_and_table_is_in_the_architecture() -> None:
    named = [v for m in (topics, tables) for k, v in vars(m).items() if k.isupper()]
    text = _text("architecture.md")
    for name in (n for n in named if isinstance(n, str)):
        assert name in text, name


def test_the_file_map_is_that_of_the_code() -> None:
    assert files() in _text("architecture.md"), "python -m cli.reference files"


def test_every_invariant_names_tests_that_exist() -> None:
    text = _text("invariants.md")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(re.findall(r"^## \d+\. ", text, re.MULTILINE)) == 10
    for path, test in named:
        assert (ROOT / path).exists(), path
        if test:
            tree = ast.parse((ROOT / path).read_text())
            functions = {
                n.name
                for n in ast.walk(tree)
                if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            assert test in functions, f"{path}::{test}"
    for section in re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]:
        assert "`tests/" in section, section[:60]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_has_a_blank_to_fill_in_or_a_setting_that_is_not(page: Path) -> None:
    text = page.read_text()
    assert "@@" not in text
    known = {cls.variable(name) for cls in ALL for name in cls.model_fields} | OTHER_NAMES
    known |= {"AUDIT_API_URL", "AUDIT_API_TOKEN_FILE", "AUDIT_TEST_KILLS", "AUDIT_TEST_SEED"}
    named = set(re.findall(r"AUDIT_[A-Z_]+[A-Z]", text))
    prefixes = {name for name in named if any(k.startswith(f"{name}_") for k in known)}
    assert named - known - prefixes == set()
