"""The commands that prepare what services need: topics and tables."""

import asyncio
import sys
from pathlib import Path

import click

from cli.context import EXIT_UNAVAILABLE, ends_well
from cli.serve import config_option, refuse_unknown
from cli.terminal import Column, err, out, print_table, visible
from consumers.migrate import migrate as migrate_store
from runtime.clickhouse import Store
from runtime.configuration import gather, load
from runtime.environment import process_environment
from runtime.kafka_client import client_options
from runtime.settings import KafkaSettings, StoreSettings
from runtime.topics import TopicState, ensure_topics
from schemas.topics import topic_specs


@click.command()
@config_option
@click.option("--verify", is_flag=True, help="Create nothing; exit 1 if a setting is wrong.")
@ends_well
def topics(*, config: Path | None, verify: bool) -> None:
    """Create the topics with the settings that the promises need, or verify those there are.

    Topics that exist are never altered, but for audit.records, which is given as many partitions
    as audit.events has, and audit.state, which is given as many as audit.signals has.
    """
    given = gather(process_environment(), config)
    refuse_unknown(given)
    kafka = load(KafkaSettings, given)
    specs = topic_specs(partitions=kafka.partitions, replication=kafka.replication)
    states = asyncio.run(
        ensure_topics(
            kafka.bootstrap, specs, verify_only=verify, client_options=client_options(kafka)
        )
    )
    faults = [fault for state in states for fault in state.faults]
    for state in states:
        out.print(_told(state), markup=False, soft_wrap=True)
    for fault in faults:
        told = f"{fault.topic}: {fault.setting} is {fault.have}, must be {fault.want}"
        err.print(visible(told), style="red", markup=False)
    if faults:
        sys.exit(EXIT_UNAVAILABLE)


def _told(state: TopicState) -> str:
    said = "created" if state.is_created else "as it must be" if state.is_right else "WRONG"
    if state.is_grown and not state.is_created:
        said += ", grown"
    told = f"{state.name}: {said}, {state.partitions} partitions"
    if state.partitions_over:
        told += f", {state.partitions_over} more than AUDIT_KAFKA_PARTITIONS"
    return told


@click.command()
@config_option
@ends_well
def migrate(*, config: Path | None) -> None:
    """Make or change the tables: forward only, each step recorded, safe to run twice."""
    given = gather(process_environment(), config)
    refuse_unknown(given)
    settings = load(StoreSettings, given)
    with Store(settings.dsn.get_secret_value(), database=settings.database) as store:
        applied = migrate_store(store)
    rows = [
        {"version": a.version, "name": a.name, "state": "applied" if a.is_new else "was there"}
        for a in applied
    ]
    print_table(rows, {name: Column(name.upper()) for name in ("version", "name", "state")})
