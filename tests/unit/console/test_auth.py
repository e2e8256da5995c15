"""The token: made once, for its owner only, compared as a whole."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from console.access import ROLES
from console.web.auth import ServiceToken, load_token
from schemas.errors import Misconfigured


def test_a_token_is_made_for_its_owner_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = load_token(path).get_secret_value()
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_token(path).get_secret_value() == first
    assert len(first) >= 43
    assert [file.name for file in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_token_that_others_may_touch_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    load_token(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=f"chmod 600 {path}"):
        load_token(path)


@pytest.mark.parametrize("content", ["", "short", "x" * 1000, "ü" * 40])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(Misconfigured) as caught:
        load_token(path)
    assert not content or content not in str(caught.value)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    load_token(tmp_path / "real")
    (tmp_path / "token").symlink_to(tmp_path / "real")
    with pytest.raises(Misconfigured):
        load_token(tmp_path / "token")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="token"):
        load_token(tmp_path / "missing" / "token")


@pytest.mark.parametrize(
    ("given", "is_known"),
    [
        pytest.param("t" * 40, True, id="right"),
        pytest.param("t" * 39, False, id="shorter"),
        pytest.param("t" * 41, False, id="longer"),
        pytest.param("", False, id="nothing"),
        pytest.param("\udcff" * 40, False, id="no text"),
    ],
)
async def test_only_the_whole_token_is_known(given: str, *, is_known: bool) -> None:
    known = ServiceToken(SecretStr("t" * 40), "acme")
    found = await known.by_token(given, "127.0.0.1")
    assert (found is not None) == is_known
    if found is not None:
        assert (found.roles, found.tenant) == (frozenset(ROLES), "acme")
