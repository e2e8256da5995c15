"""What every command shares: which data folder, which API, and how errors end the process."""

import importlib
import json
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Final, NoReturn, ParamSpec, TypeVar

import click

from cli.client import Client, Refused
from cli.terminal import err, visible
from runtime.environment import ours, process_environment
from schemas.errors import Misconfigured, Unavailable

EXIT_UNAVAILABLE: Final = 1
EXIT_USAGE: Final = 2
EXIT_DIFFERENCE: Final = 3  # the ledger does not balance
DATA_DIR: Final = "AUDIT_DATA_DIR"
CLIENT_NAMES: Final = ("AUDIT_API_URL", "AUDIT_API_TOKEN_FILE")  # read by commands, by no service
DATA_DIR_DEFAULT: Final = ".data"

ROWS_MAX: Final = 1_000_000

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def limit_option(default: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add `--limit N`."""
    return click.option(
        "--limit",
        default=default,
        show_default=True,
        type=click.IntRange(1, ROWS_MAX),
        help="At most so many.",
    )


def data_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `--data DIR`."""
    return click.option(
        "--data",
        "data",
        envvar=DATA_DIR,
        default=DATA_DIR_DEFAULT,
        show_default=True,
        type=click.Path(path_type=Path),  # a file there: said by those who need the folder
        help="Folder where everything is kept (AUDIT_DATA_DIR).",
    )(command)


def api_options(command: Callable[P, R]) -> Callable[P, R]:
    """Add what names the API: the data folder, or address and token file."""
    for option in (
        click.option(
            "--token-file",
            envvar="AUDIT_API_TOKEN_FILE",
            type=click.Path(path_type=Path, dir_okay=False),
            help="File that holds the API token; the data folder's by default.",
        ),
        click.option(
            "--api",
            envvar="AUDIT_API_URL",
            help="Address of the API; the data folder's by default.",
        ),
    ):
        command = option(command)
    return data_option(command)


def open_client(data: Path, api: str | None, token_file: Path | None) -> Client:
    """Return a client of the service that keeps its data there. Raises `Misconfigured`."""
    refuse_misspelt()
    if api is None:
        api = f"http://127.0.0.1:{known_port(data, 'api')}"
    return Client(api.rstrip("/"), token_file or data / "token")


def refuse_misspelt() -> None:
    """Raise `Misconfigured` for misspelt settings, as a service does: none is ignored."""
    environment = process_environment()
    if ours(environment).keys() <= {DATA_DIR, *CLIENT_NAMES}:
        return  # the usual case need not wait for what knows the settings
    configuration = importlib.import_module("runtime.configuration")
    problems = configuration.unknown_names(configuration.gather(environment), CLIENT_NAMES)
    if problems:
        raise Misconfigured("\n".join(problems))


def known_port(data: Path, name: str) -> int:
    """Return the port that `audit up` chose. Raises `Misconfigured` naming the file and cure."""
    path = data / "ports.json"
    try:
        return int(json.loads(path.read_text())[name])
    except FileNotFoundError as error:
        raise Misconfigured(
            f"nothing has run in {data} yet: start it with `audit up --data {data}`, or name"
            " another folder with --data or AUDIT_DATA_DIR"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(f"{path} can't be read: start `audit up --data {data}` anew") from error


def ends_well(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into one line on standard error and the exit status of their kind."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Misconfigured as error:
            fail(str(error), EXIT_USAGE)
        except Refused as error:
            fail(str(error), EXIT_USAGE)
        except Unavailable as error:
            fail(str(error), EXIT_UNAVAILABLE)
        except BrokenPipeError:  # the reader of our output has gone, as `head` does
            sys.stderr.close()
            sys.exit(0)

    return run


def fail(message: str, status: int) -> NoReturn:
    """Print the message and end."""
    lines = "\n".join(visible(line) for line in message.splitlines())
    err.print(f"audit: {lines}", style="red", markup=False, soft_wrap=True)
    sys.exit(status)
