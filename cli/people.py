"""The commands on people: accounts, one-time login links, tokens, sessions."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client
from cli.context import api_options, ends_well, json_option, open_client
from cli.showing import quoted, short
from cli.terminal import Column, err, out, print_json, print_table

ROLES: Final = ("viewer", "analyst", "auditor", "administrator")
ACCOUNT_TABLE: Final = {
    "name": Column("NAME"),
    "roles": Column("ROLES"),
    "tenant": Column("TENANT", drop=1),
    "state": Column("STATE"),
    "last_login": Column("LAST LOGIN (UTC)", drop=2),
    "created_by": Column("MADE BY", drop=3),
}
TOKEN_TABLE: Final = {
    "key": Column("TOKEN"),
    "name": Column("NAME"),
    "owner": Column("OWNER"),
    "roles": Column("ROLES", drop=2),
    "scope": Column("SCOPE", drop=3),
    "state": Column("STATE"),
    "expires": Column("EXPIRES (UTC)"),
    "last_used": Column("LAST USED (UTC)", drop=1),
}
SESSION_TABLE: Final = {
    "key": Column("SESSION"),
    "account": Column("ACCOUNT"),
    "how": Column("BY", drop=2),
    "last_seen": Column("LAST SEEN (UTC)"),
    "created": Column("SINCE (UTC)", drop=1),
    "client": Column("ADDRESS"),
    "user_agent": Column("CLIENT", least=10, drop=3),
}
_TIMES: Final = ("created", "expires", "last_used", "last_seen", "last_login")
roles_option = click.option(
    "--role", "roles", multiple=True, type=click.Choice(ROLES), help="A role; may be repeated."
)
tenant_option = click.option("--tenant", help="Only this tenant; all by default.")


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Hand a client to a command that names the API as all do."""

    @wraps(command)
    def run(*, data: Path, api: str | None, token_file: Path | None, **given: object) -> None:
        command(open_client(data, api, token_file), **given)

    return api_options(ends_well(run))


@click.command()
@click.argument("name", required=False)
@json_option
@asks
def login_link(client: Client, *, name: str | None, as_json: bool) -> None:
    """Print a link that logs in to the console once, within 15 minutes.

    Without NAME as the owner of this service, who may do everything.
    """
    made = client.post("/people/login-links", {"name": name} if name else {})
    _print_link(made, as_json=as_json)


@click.group()
def people() -> None:
    """List, make and change accounts of the console."""


@people.command("list")
@json_option
@asks
def list_people(client: Client, *, as_json: bool) -> None:
    """List the accounts."""
    found = client.get("/people")["accounts"]
    _print_rows([{**row, "state": _state_of(row)} for row in found], ACCOUNT_TABLE, as_json=as_json)
    if not found:
        err.print("Nobody has an account yet: `audit login-link` makes the owner's.")


@people.command("add")
@click.argument("name")
@roles_option
@tenant_option
@click.option("--display", default="", help="The name that people see.")
@json_option
@asks
def add_person(
    client: Client,
    *,
    name: str,
    roles: Sequence[str],
    tenant: str | None,
    display: str,
    as_json: bool,
) -> None:
    """Make an account, and print the link by which its owner logs in and sets a password."""
    body = {"name": name, "roles": list(roles), "tenant": tenant, "display": display}
    _print_made(client.post("/people", body), as_json=as_json)


@people.command("roles")
@click.argument("name")
@click.argument("roles", nargs=-1, required=True, type=click.Choice(ROLES))
@asks
def set_roles(client: Client, *, name: str, roles: Sequence[str]) -> None:
    """Give an account these roles and no others; it holds at once."""
    now = client.patch(f"/people/{quoted(name)}", {"roles": list(roles)})
    out.print(f"{now['name']}: {', '.join(now['roles'])}", markup=False)


@people.command("disable")
@click.argument("name")
@asks
def disable_person(client: Client, *, name: str) -> None:
    """Disable an account: its sessions end, its tokens are revoked."""
    client.patch(f"/people/{quoted(name)}", {"disabled": True})
    out.print(f"{name} is disabled", markup=False)


@people.command("enable")
@click.argument("name")
@asks
def enable_person(client: Client, *, name: str) -> None:
    """Let a disabled account in again."""
    client.patch(f"/people/{quoted(name)}", {"disabled": False})
    out.print(f"{name} is enabled", markup=False)


@people.command("reset")
@click.argument("name")
@json_option
@asks
def reset_person(client: Client, *, name: str, as_json: bool) -> None:
    """Take password, sessions and tokens from an account; print the link that sets another."""
    made = client.post(f"/people/{quoted(name)}/reset", {})
    _print_made(made, as_json=as_json)


@click.group()
def tokens() -> None:
    """List, make and revoke API tokens."""


@tokens.command("list")
@json_option
@asks
def list_tokens(client: Client, *, as_json: bool) -> None:
    """List tokens: all, or without the right to, one's own."""
    found = client.get("/tokens")["tokens"]
    _print_rows(found, TOKEN_TABLE, as_json=as_json)
    if not found:
        err.print("There are no tokens but the service's own.")


@tokens.command("create")
@click.argument("name")
@roles_option
@click.option("--scope", multiple=True, help="A permission, such as read_events; repeatable.")
@tenant_option
@click.option("--days", type=click.IntRange(1, 365), default=90, show_default=True)
@json_option
@asks
def create_token(
    client: Client,
    *,
    name: str,
    roles: Sequence[str],
    scope: Sequence[str],
    tenant: str | None,
    days: int,
    as_json: bool,
) -> None:
    """Make a token for a program and print its secret, this once."""
    body = {"name": name, "days": days, "scope": list(scope), "tenant": tenant}
    made = client.post("/tokens", body | ({"roles": list(roles)} if roles else {}))
    if as_json:
        print_json(made)
        return
    token = made["token"]
    err.print(
        f"{token['key']} until {short(token['expires'])}; the secret is shown this once:",
        markup=False,
    )
    out.print(made["secret"], markup=False, soft_wrap=True)


@tokens.command("revoke")
@click.argument("key")
@asks
def revoke_token(client: Client, *, key: str) -> None:
    """Revoke a token; it holds at once."""
    client.delete(f"/tokens/{quoted(key)}")
    out.print(f"{key} is revoked", markup=False)


@click.group()
def sessions() -> None:
    """List and revoke logins to the console."""


@sessions.command("list")
@json_option
@asks
def list_sessions(client: Client, *, as_json: bool) -> None:
    """List the logins that go on."""
    found = client.get("/sessions")["sessions"]
    _print_rows(found, SESSION_TABLE, as_json=as_json)
    if not found:
        err.print("Nobody is logged in.")


@sessions.command("revoke")
@click.argument("key")
@asks
def revoke_session(client: Client, *, key: str) -> None:
    """End a login; it holds at once."""
    client.delete(f"/sessions/{quoted(key)}")
    out.print(f"{key} is ended", markup=False)


def _state_of(account: Mapping[str, Any]) -> str:
    if account["disabled"]:
        return "disabled"
    return "must set password" if account["must_change_password"] else "active"


def _print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column], *, as_json: bool
) -> None:
    if as_json:
        print_json(list(rows))
        return
    print_table([_shown(row) for row in rows], columns)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: short(row[name]) for name in _TIMES if row.get(name)}
    scope = ", ".join(row["scope"]) if row.get("scope") is not None else "all"
    lists = {"roles": ", ".join(row["roles"])} if "roles" in row else {}
    return {**row, **times, **lists, "scope": scope, "tenant": row.get("tenant") or "all"}


def _print_made(made: Mapping[str, Any], *, as_json: bool) -> None:
    if made["login"] is not None:
        _print_link(made["login"], as_json=as_json)
    elif as_json:
        print_json(made["login"])
    else:
        err.print("To a token no login link is given: an administrator's reset makes one.")


def _print_link(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    err.print(f"Logs in as {made['name']}, once, until {short(made['expires'])} UTC:", markup=False)
    out.print(made["link"], markup=False, soft_wrap=True)
