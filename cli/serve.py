"""`audit serve SERVICE`: one service as a process, told what to do by environment or file."""

import importlib
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import click

from cli.context import EXIT_USAGE, data_option, ends_well
from cli.terminal import err, out, visible
from runtime.configuration import Given, check, gather, load, process_environment, unknown_names
from runtime.lifecycle import PARENT_FD, follow_parent, run_service
from runtime.log import configure
from runtime.settings import (
    AlertSettings,
    ApiSettings,
    KafkaSettings,
    LogSettings,
    PipelineSettings,
    ServiceSettings,
    SinkSettings,
    StoreSettings,
)
from schemas.errors import Misconfigured

OTHER_NAMES: Final = (PARENT_FD, "AUDIT_API_URL", "AUDIT_API_TOKEN_FILE")
STORE_CLASSES: Final = (StoreSettings, SinkSettings, AlertSettings, ApiSettings)
SETTINGS: Final[dict[str, tuple[type[ServiceSettings], ...]]] = {
    "pipeline": (LogSettings, KafkaSettings, PipelineSettings),
    "sink": (LogSettings, KafkaSettings, StoreSettings, SinkSettings),
    "alerts": (LogSettings, KafkaSettings, StoreSettings, AlertSettings),
    "api": (
        LogSettings,
        KafkaSettings,
        StoreSettings,
        ApiSettings,
        AlertSettings,
        PipelineSettings,
    ),
    "store": (LogSettings, KafkaSettings, *STORE_CLASSES, PipelineSettings),
}

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of settings: TOML with a section a service, or NAME=value lines (AUDIT_CONFIG).",
)


@click.command()
@click.argument("service", type=click.Choice(list(SETTINGS)))
@config_option
@data_option
@click.option("--check", "only_check", is_flag=True, help="Print the settings and what is wrong.")
@click.option("--make-topics", is_flag=True, help="Create absent topics first (pipeline only).")
@ends_well
def serve(
    *, service: str, config: Path | None, data: Path, only_check: bool, make_topics: bool
) -> None:
    """Run one service until SIGTERM: pipeline, sink, alerts, api, or store (the last three).

    Exit status: 0 stopped, 1 a dependency failed (start it again), 2 wrong settings.
    """
    environment = process_environment()
    given = gather(environment, config)
    if only_check:
        print_check(service, given)
        return
    refuse_unknown(given)
    logs = load(LogSettings, given)
    as_json = {"auto": None, "json": True, "text": False}[logs.format]
    configure(service, logs.level, as_json=as_json)
    parent = environment.get(PARENT_FD)
    follow_parent(int(parent) if parent else None)
    sys.exit(run_service(_work(service, given, data, make_topics=make_topics)))


def refuse_unknown(given: Given) -> None:
    """Raise `Misconfigured` for misspelt settings: what they were meant for would be ignored."""
    problems = unknown_names(given, OTHER_NAMES)
    if problems:
        raise Misconfigured("\n".join(problems))


def _work(
    service: str, given: Given, data: Path, *, make_topics: bool
) -> Coroutine[Any, Any, None]:
    """Import the service, and only it: the pipeline needs no FastAPI, the store no Faust."""
    work: Coroutine[Any, Any, None]
    if service == "pipeline":
        pipeline = importlib.import_module("cli.pipeline_service")
        work = pipeline.run_pipeline(given, datadir=data / "faust", makes_topics=make_topics)
    else:
        store = importlib.import_module("cli.store_service")
        names = store.PARTS if service == "store" else (service,)
        work = store.run_parts(given, names, data=data)
    return work


def print_check(service: str, given: Given) -> None:
    """Print every setting with where it came from, then every problem; exit 2 if there is one."""
    rows, problems = check(SETTINGS[service], given, known=OTHER_NAMES)
    width = max(len(row.name) for row in rows)
    for row in rows:
        shown = f"{row.name:<{width}}  {visible(row.value)}"
        out.print(f"{shown}  ({visible(row.origin)})", markup=False, soft_wrap=True)
    for problem in problems:
        err.print(f"wrong: {visible(problem)}", style="red", markup=False, soft_wrap=True)
    if problems:
        sys.exit(EXIT_USAGE)
