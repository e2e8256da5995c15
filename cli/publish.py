"""The commands that publish: files of events, and the sample traffic."""

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import click
from prometheus_client import CollectorRegistry
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.context import (
    EXIT_UNAVAILABLE,
    data_option,
    ends_well,
    known_port,
    refuse_misspelt,
)
from cli.terminal import err, out, visible
from producers.file import PREPARERS, Counts, as_is, publish_file, read_lines
from producers.player import play
from producers.publisher import Publisher
from runtime.broker_wait import Wanted, wait_for_broker
from runtime.clock import SystemClock
from runtime.configuration import gather, load
from runtime.environment import process_environment
from runtime.health import Readiness, serve_health
from runtime.kafka_client import client_options
from runtime.lifecycle import PARENT_FD, follow_parent, run_service
from runtime.log import configure, event
from runtime.ports import LOOPBACK
from runtime.settings import KafkaSettings
from schemas.errors import AuditError, Misconfigured
from schemas.topics import EVENTS

EXIT_REFUSED: Final = 1
FAILURES_TOLD_MAX: Final = 10  # kinds; all are counted
PLAYER: Final = "player"
log: Final = logging.getLogger("audit.sample")


def kafka_settings(data: Path) -> KafkaSettings:
    """Return how to reach the broker: as the settings say, else the data folder's own."""
    refuse_misspelt()
    given = gather(process_environment())
    settings = load(KafkaSettings, given)
    if KafkaSettings.variable("bootstrap") in given.values:
        return settings
    return settings.model_copy(update={"bootstrap": f"{LOOPBACK}:{known_port(data, 'kafka')}"})


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@data_option
@click.option(
    "--from",
    "source",
    type=click.Choice(sorted(PREPARERS)),
    default="native",
    show_default=True,
    help="What the lines are.",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Publish every line as it is, unmasked; what is no event is quarantined.",
)
@ends_well
def publish(*, file: Path, data: Path, source: str, raw: bool) -> None:
    """Publish events from FILE: JSON lines, one object or an array; gzip too; - for stdin.

    Lines that are no event are refused, each with its line and cure; nothing else stops. Bytes
    are published as they are: secrets are masked by the pipeline, not in Kafka. With --raw lines
    that are no event are published too, unmasked as well. Exit status 1 if any line was not
    published.
    """
    if raw and source != "native":
        raise Misconfigured("--raw publishes bytes as they are: leave out --from")
    kafka = kafka_settings(data)
    prepare = as_is if raw else PREPARERS[source]
    with _opened(file) as stream:
        counts = asyncio.run(_publish(kafka, stream, prepare, _size(file)))
    _tell(counts)
    if counts.refused or counts.failed:
        sys.exit(EXIT_REFUSED if counts.refused else EXIT_UNAVAILABLE)


def _opened(file: Path) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return file.open("rb")
    except OSError as error:
        raise Misconfigured(f"{file}: {error.strerror}") from error


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


async def _publish(
    kafka: KafkaSettings,
    stream: BinaryIO,
    prepare: Callable[[bytes], object],
    size: int | None,
) -> Counts:
    columns = (
        TextColumn("publishing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
    )
    is_shown = err.is_interactive  # else it would leave an empty line behind
    with Progress(*columns, console=err, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("publish", total=size, said="")

        def progress(counts: Counts) -> None:
            said = f"{counts.published:,} published, {counts.refused:,} refused"
            done = stream.tell() if size is not None else counts.read
            bar.update(task, completed=done, said=said)

        async with Publisher(kafka.bootstrap, client_options=client_options(kafka)) as publisher:
            return await publish_file(publisher, read_lines(stream), prepare, progress)  # type: ignore[arg-type]


def _tell(counts: Counts) -> None:
    out.print(
        f"read {counts.read:,}: published {counts.published:,}, refused {counts.refused:,},"
        f" failed {counts.failed:,}"
    )
    for refusal in counts.refusals:
        cure = f" ({refusal.cure})" if refusal.cure else ""
        told = visible(f"  line {refusal.number}: {refusal.reason}{cure}")
        err.print(told, markup=False, soft_wrap=True)
    if more := counts.refused - len(counts.refusals):
        err.print(f"  and {more:,} more refused")
    for reason, count in counts.failures.most_common(FAILURES_TOLD_MAX):
        err.print(visible(f"  {count:,} failed: {reason}"), markup=False, soft_wrap=True)


@click.command(hidden=True)
@data_option
@click.option("--health-port", type=click.IntRange(1, 65_535), required=True)
@ends_well
def sample(*, data: Path, health_port: int) -> None:
    """Play sample traffic to the data folder's Kafka until told to stop (for `audit up`)."""
    configure("sample")
    parent = process_environment().get(PARENT_FD)
    follow_parent(int(parent) if parent else None)
    sys.exit(run_service(_play(kafka_settings(data), data / "sample.json", health_port)))


async def _play(kafka: KafkaSettings, progress_path: Path, health_port: int) -> None:
    readiness = Readiness((PLAYER,))
    stop = asyncio.Event()

    def told(error: AuditError) -> None:
        event(log, "not published", level=logging.WARNING, why=str(error))

    async with serve_health(LOOPBACK, health_port, readiness, CollectorRegistry()):
        await wait_for_broker(kafka, Wanted((EVENTS,)), lambda what: readiness.miss(PLAYER, what))
        async with Publisher(kafka.bootstrap, client_options=client_options(kafka)) as publisher:
            readiness.meet(PLAYER)
            try:
                await play(publisher, progress_path, clock=SystemClock(), stop=stop, on_fault=told)
            finally:
                stop.set()
