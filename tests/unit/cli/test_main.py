import subprocess
import sys

import click
from click.testing import CliRunner

from cli.main import COMMANDS, LateGroup, main


def test_every_command_is_where_the_list_says() -> None:
    assert isinstance(main, LateGroup)
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.hidden == (not COMMANDS[name].about)
        assert command.help, name


def test_help_names_every_command_that_is_not_hidden() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    for name, place in COMMANDS.items():
        assert (f"  {name} " in shown) == bool(place.about)
        assert place.about in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_unknown_command_ends_with_status_2() -> None:
    assert CliRunner().invoke(main, ["serach"]).exit_code == 2


def imported(code: str) -> set[str]:
    """Run code in a fresh interpreter; return the top-level modules that it brought in."""
    shown = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_each_process_imports_only_what_it_needs() -> None:
    assert not imported("import cli.read") & {"aiokafka", "faust", "fastapi", "pydantic", "chdb"}
    assert not imported("import cli.store_service") & {"faust", "mode", "aiohttp"}
    assert not imported("import cli.pipeline_service") & {"fastapi", "chdb", "clickhouse_connect"}
    assert not imported("import cli.up") & {"faust", "fastapi", "chdb", "clickhouse_connect"}
