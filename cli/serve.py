"""`audit serve SERVICE`: one service as a process, told what to do by environment or file."""

import importlib
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.context import CLIENT_NAMES, EXIT_USAGE, data_option, ends_well
from cli.terminal import err, out, visible
from runtime.configuration import Given, check, gather, load, unknown_names
from runtime.environment import process_environment
from runtime.lifecycle import PARENT_FD, follow_parent, run_service
from runtime.log import configure
from runtime.settings import (
    AlertSettings,
    ApiSettings,
    CanarySettings,
    KafkaSettings,
    LogSettings,
    OidcSettings,
    PipelineSettings,
    RuleSettings,
    ServiceSettings,
    SinkSettings,
    StoreSettings,
)
from schemas.errors import Misconfigured

MAKE_TOPICS: Final = (
    "Create absent topics first, and give audit.records as many partitions as audit.events has;"
    " settings of topics that exist are left to `audit topics --verify` (pipeline only)."
)
STAGE_HELP: Final = "Judge events (1), correlate them (2), or both in one process (pipeline only)."
STORE_CLASSES: Final = (StoreSettings, SinkSettings, AlertSettings, ApiSettings, OidcSettings)
RULE_CLASSES: Final = (PipelineSettings, RuleSettings, CanarySettings)
SETTINGS: Final[dict[str, tuple[type[ServiceSettings], ...]]] = {
    "pipeline": (LogSettings, KafkaSettings, PipelineSettings, RuleSettings, CanarySettings),
    "sink": (LogSettings, KafkaSettings, StoreSettings, SinkSettings),
    "alerts": (LogSettings, KafkaSettings, StoreSettings, AlertSettings, *RULE_CLASSES),
    "api": (
        LogSettings,
        KafkaSettings,
        StoreSettings,
        ApiSettings,
        OidcSettings,
        AlertSettings,
        *RULE_CLASSES,
    ),
    "store": (LogSettings, KafkaSettings, *STORE_CLASSES, *RULE_CLASSES),
}

ALERTING: Final = frozenset({"alerts", "store"})  # these deliver, by targets and routes
SERVING: Final = frozenset({"api", "store"})  # these let people in

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
@click.option("--make-topics", "makes_topics", is_flag=True, help=MAKE_TOPICS)
@click.option("--stage", type=click.Choice(["1", "2", "both"]), default="both", help=STAGE_HELP)
@ends_well
def serve(
    *, service: str, config: Path | None, data: Path, only_check: bool, **duties: object
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
    sys.exit(run_service(_work(service, given, data, duties)))


def refuse_unknown(given: Given) -> None:
    """Raise `Misconfigured` for misspelt settings: what they were meant for would be ignored."""
    problems = unknown_names(given, CLIENT_NAMES)
    if problems:
        raise Misconfigured("\n".join(problems))


def _work(
    service: str, given: Given, data: Path, duties: Mapping[str, object]
) -> Coroutine[Any, Any, None]:
    """Import the service, and only it: the pipeline needs no FastAPI, the store no Faust."""
    work: Coroutine[Any, Any, None]
    if service == "pipeline":
        pipeline = importlib.import_module("cli.pipeline_service")
        work = pipeline.run_pipeline(given, datadir=data / "faust", **duties)
    else:
        store = importlib.import_module("cli.store_service")
        names = store.PARTS if service == "store" else (service,)
        work = store.run_parts(given, names, data=data)
    return work


def _policy_problems(given: Given) -> list[str]:
    """Read targets, secret and routes as the service would at its start; say what is wrong."""
    policy = importlib.import_module("cli.alert_policy")
    try:
        policy.alert_policy(load(AlertSettings, given))
    except Misconfigured as error:
        return str(error).splitlines()
    return []


def _people_problems(given: Given) -> list[str]:
    """Read what the settings say of the provider of identities as the API would at its start."""
    people = importlib.import_module("cli.people_service")
    try:
        people.provider_of(load(OidcSettings, given))
    except Misconfigured as error:
        return str(error).splitlines()
    return []


def print_check(service: str, given: Given) -> None:
    """Print every setting with where it came from, then every problem; exit 2 if there is one."""
    rows, problems = check(SETTINGS[service], given, known=CLIENT_NAMES)
    if not problems and service in ALERTING:
        problems = _policy_problems(given)
    if not problems and service in SERVING:
        problems = _people_problems(given)
    width = max(len(row.name) for row in rows)
    for row in rows:
        shown = f"{row.name:<{width}}  {visible(row.value)}"
        out.print(f"{shown}  ({visible(row.origin)})", markup=False, soft_wrap=True)
    for problem in problems:
        err.print(f"wrong: {visible(problem)}", style="red", markup=False, soft_wrap=True)
    if problems:
        sys.exit(EXIT_USAGE)
