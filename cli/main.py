"""The command `audit` and its parts."""

import importlib
from typing import Final

import click

# Imported when called: `audit search` must not wait for Faust, nor `audit serve sink` for rich.
COMMANDS: Final = {
    "up": "cli.up:up",
    "publish": "cli.publish:publish",
    "search": "cli.read:search",
    "show": "cli.read:show",
    "alerts": "cli.read:alerts",
    "quarantine": "cli.read:quarantine",
    "ledger": "cli.read:ledger",
    "doctor": "cli.read:doctor",
    "serve": "cli.serve:serve",
    "topics": "cli.admin:topics",
    "migrate": "cli.admin:migrate",
    "sample": "cli.publish:sample",
}


class LateGroup(click.Group):
    """A group whose commands are imported when they are needed; in the order of a first visit."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None if there is no such."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="audit-stream")
def main() -> None:
    """Audit Stream: every acknowledged audit event stored exactly once, provably."""
