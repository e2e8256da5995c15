"""Rights in words, and the page that lists them."""

from pathlib import Path

from console.access import PERMISSIONS, ROLES
from console.people.words import ABOUT, RIGHTS, table_of_roles

PAGE = Path(__file__).parents[4] / "docs/people.md"


def test_every_right_and_role_has_its_words() -> None:
    assert tuple(RIGHTS) == PERMISSIONS
    assert tuple(ABOUT) == ROLES


def test_the_page_has_the_table_as_the_code_has_it() -> None:
    assert table_of_roles() in PAGE.read_text()
