"""The command `audit` and its parts."""

import importlib
import logging
from typing import Final, NamedTuple

import click


class Place(NamedTuple):
    """Where a command is, and what the list of commands says of it; "" hides it there."""

    module: str
    name: str
    about: str


# Imported when called: `audit search` must not wait for Faust, nor `audit --help` for anything.
COMMANDS: Final = {
    "up": Place("cli.up", "up", "Start everything on this machine; Ctrl-C stops it."),
    "publish": Place("cli.publish", "publish", "Publish events from a file."),
    "search": Place("cli.read", "search", "Find events, newest first."),
    "show": Place("cli.read", "show", "Show one event whole, or one alert."),
    "searches": Place("cli.searches", "searches", "List saved searches."),
    "sql": Place("cli.sql", "sql", "Run one SELECT on the documented views."),
    "export": Place("cli.export", "export", "Export events to a file, with its proof."),
    "alerts": Place("cli.alerts", "alerts", "List alerts, or follow them as they come."),
    "quarantine": Place("cli.quarantine", "quarantine", "Look at what was no event; replay it."),
    "cases": Place("cli.cases", "cases", "Put events and alerts of an incident together."),
    "rules": Place("cli.rules", "rules", "List, test, explain and write detection rules."),
    "login-link": Place(
        "cli.people", "login_link", "Print a link that logs in to the console, once."
    ),
    "people": Place("cli.people", "people", "List, make and change accounts of the console."),
    "tokens": Place("cli.people", "tokens", "List, make and revoke API tokens."),
    "sessions": Place("cli.people", "sessions", "List and revoke logins to the console."),
    "report": Place("cli.report", "report", "Make a report for auditors."),
    "ledger": Place("cli.checks", "ledger", "Prove that nothing is lost and nothing twice."),
    "doctor": Place("cli.checks", "doctor", "Check each part, and say what to do."),
    "serve": Place("cli.serve", "serve", "Run one service, as production does."),
    "topics": Place("cli.admin", "topics", "Create the topics, or verify them."),
    "migrate": Place("cli.admin", "migrate", "Make or change the tables."),
    "sample": Place("cli.publish", "sample", ""),
}


class LateGroup(click.Group):
    """A group whose commands are imported when they are needed; in the order of a first visit."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is no such."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command: click.Command = getattr(importlib.import_module(place.module), place.name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(n, place.about) for n, place in COMMANDS.items() if place.about])


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audit-stream")
def main() -> None:
    """Audit Stream: every acknowledged audit event stored exactly once, provably."""
    # what libraries log at an error, a command says itself, in one line; services log everything
    logging.getLogger().addHandler(logging.NullHandler())
