"""The commands on people, against a console that listens."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.health import serve_app
from tests.integration.api.people import House, cookie_of, house
from tests.integration.api.stored import TOKEN

Run = Callable[..., "asyncio.Future[Result]"]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    made = await house(tmp_path)
    yield made
    await made.close()


@pytest.fixture
async def audit(home: House, tmp_path: Path) -> AsyncIterator[Run]:
    """Runs a command on a thread: the console answers on this one."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    async with serve_app(home.gate, "127.0.0.1", 0, connections_max=64) as url:

        def run(*words: str, token: Path = token_file) -> "asyncio.Future[Result]":
            given = [*words, "--api", url, "--token-file", str(token)]
            work = asyncio.to_thread(CliRunner().invoke, main, given, catch_exceptions=False)
            return asyncio.ensure_future(work)

        yield run


async def test_a_link_stands_alone_on_its_line_and_logs_in(home: House, audit: Run) -> None:
    done = await audit("login-link")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/login/[\w-]{43}\n", done.stdout)
    assert "once" in done.stderr
    browser = home.browser()
    path = done.stdout.strip().partition("/login/")[2]
    assert (await browser.post(f"/login/{path}")).status_code == 303
    assert cookie_of(browser)


async def test_accounts_are_made_changed_and_disabled(home: House, audit: Run) -> None:
    assert "audit login-link" in (await audit("people", "list")).stderr
    made = await audit("people", "add", "jane", "--role", "analyst", "--tenant", "acme")
    assert "/login/" in made.stdout
    assert (await audit("people", "roles", "jane", "viewer", "auditor")).stdout == (
        "jane: viewer, auditor\n"
    )
    (listed,) = json.loads((await audit("people", "list", "--json")).stdout)
    assert (listed["roles"], listed["tenant"]) == (["viewer", "auditor"], "acme")
    assert "must set password" in (await audit("people", "list")).stdout
    assert "/login/" in (await audit("people", "reset", "jane")).stdout
    assert (await audit("people", "disable", "jane")).exit_code == 0
    assert "disabled" in (await audit("people", "list")).stdout
    assert (await audit("people", "reset", "jane")).exit_code == 2
    assert (await audit("people", "enable", "jane")).exit_code == 0
    twice = await audit("people", "add", "JANE", "--role", "viewer")
    assert (twice.exit_code, "taken" in twice.stderr) == (2, True)
    nobody = await audit("people", "disable", "joan")
    assert (nobody.exit_code, "no such account" in nobody.stderr) == (2, True)
    assert [e["resource_id"] for e in home.told("audit.account.disabled")] == ["jane"]


async def test_a_token_is_all_that_is_printed_and_may_be_used(
    home: House, audit: Run, tmp_path: Path
) -> None:
    made = await audit("tokens", "create", "ci", "--role", "administrator", "--days", "2")
    assert re.fullmatch(r"ast_[\w-]{43}\n", made.stdout)
    mine = tmp_path / "mine"
    mine.write_text(made.stdout)
    assert (await audit("people", "list", token=mine)).exit_code == 0
    refused = await audit("tokens", "create", "more", token=mine)
    assert (refused.exit_code, "a token makes no tokens" in refused.stderr) == (2, True)
    shown = (await audit("tokens", "list")).stdout
    key = re.findall(r"tok-[0-9a-f]{16}", shown)[0]
    assert (await audit("tokens", "revoke", key)).exit_code == 0
    assert (await audit("people", "list", token=mine)).exit_code == 2
    assert "revoked" in (await audit("tokens", "list")).stdout
    assert home.told("audit.token.revoked")


async def test_a_session_is_listed_and_revoked(home: House, audit: Run) -> None:
    assert "Nobody is logged in" in (await audit("sessions", "list")).stderr
    jane = await home.person("jane", "viewer")
    shown = (await audit("sessions", "list")).stdout
    key = re.findall(r"ses-[0-9a-f]{16}", shown)[0]
    assert (await audit("sessions", "revoke", key)).exit_code == 0
    assert (await jane.get("/me")).status_code == 303
    again = await audit("sessions", "revoke", key)
    assert (again.exit_code, "no such session" in again.stderr) == (2, True)
