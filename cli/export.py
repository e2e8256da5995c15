"""The command `audit export`: events in bulk to a file, resumed where it broke off, and proved."""

import hashlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from cli.client import Client, Refused
from cli.context import api_options, ends_well
from cli.context import open_client as connect
from cli.terminal import err, visible
from schemas.errors import Misconfigured, Unavailable

POLL_S: Final = 0.5
BLOCK: Final = 1_048_576
TRIES_MAX: Final = 8  # of a download that breaks off; each goes on where the last one ended
TRY_S: Final = 1.0
OPEN: Final = ("queued", "running")


class DefaultGroup(click.Group):
    """A group whose first word may be a query: what is no command of it is one to export."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where there is none."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["make", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultGroup)
def export() -> None:
    """Export events to a file: audit export QUERY --format csv -o FILE.

    QUERY is as on the search page, '' for all events. Beside FILE lies FILE.manifest.json: what
    was asked, the ledger's bounds, count and SHA-256; `audit export verify FILE` checks it.
    """


@export.command("make", hidden=True)
@api_options
@click.argument("query")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv", "parquet"]),
    default="jsonl",
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--since", help="From then on: RFC 3339, or 15m, 24h, 7d ago.")
@click.option("--until", help="Before then.")
@click.option("--columns", help="Only these, separated by commas.")
@click.option("--resume", is_flag=True, help="Go on with what an earlier call began.")
@click.option("--quiet", is_flag=True, help="No progress.")
@ends_well
def make(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    query: str,
    form: str,
    output: Path,
    since: str | None,
    until: str | None,
    columns: str | None,
    resume: bool,
    quiet: bool,
) -> None:
    """Export the events that QUERY finds."""
    if output.exists():
        raise Misconfigured(f"{output} is there already: remove it, or name another file")
    asked = {
        "q": query,
        "since": since,
        "until": until,
        "format": form,
        "columns": [name.strip() for name in columns.split(",")] if columns else [],
    }
    client = connect(data, api, token_file)
    try:
        download = Download(client, output)
        download.begin(asked, resume=resume)
        with _bars(quiet=quiet) as bars:
            shown = _wait(client, download, bars)
            if shown["state"] != "done":
                download.forget()
                said = shown["error"] or "nothing of it was kept"
                raise Unavailable(f"the export is {shown['state']}: {visible(said)}")
            _fetch(download, shown, bars)
        manifest = download.finish(shown)
    finally:
        client.close()
    err.print(
        f"{manifest['rows']:,} rows, {manifest['bytes']:,} bytes, SHA-256 {manifest['sha256']}"
        + ("; complete by the ledger" if manifest["complete"] else ""),
        soft_wrap=True,
    )


@export.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@ends_well
def verify(*, file: Path) -> None:
    """Check FILE against FILE.manifest.json beside it: size and SHA-256."""
    manifest = read_manifest(manifest_of(file))
    size = file.stat().st_size
    if size != manifest["bytes"]:
        raise Misconfigured(f"{file} has {size:,} bytes, its manifest says {manifest['bytes']:,}")
    found = sha256_of(file)
    if found != manifest["sha256"]:
        raise Misconfigured(f"{file} is not what was exported: its SHA-256 is {found}")
    of_manifest = sha256_of(manifest_of(file))
    err.print(
        f"{file.name} is what was exported: {manifest['rows']:,} rows by"
        f" {visible(manifest['by'])} at {manifest['finished']}.",
        f"The manifest's SHA-256 is {of_manifest}: compare it with the event"
        f" audit.export.completed of {manifest['export']}.",
        sep="\n",
        soft_wrap=True,
        markup=False,
    )


class Download:
    """A file on its way: the part that is here, and which export it is of."""

    def __init__(self, client: Client, output: Path) -> None:
        self.client = client
        self.output = output
        self.part = output.with_name(f"{output.name}.part")
        self._note = output.with_name(f"{output.name}.part.json")
        self.export_id = ""

    def begin(self, asked: dict[str, Any], *, resume: bool) -> None:
        """Order the export, or take up the one that an earlier call ordered."""
        if resume and self._note.exists():
            note = read_manifest(self._note)
            if note.get("asked") != asked:
                raise Misconfigured(
                    f"{self._note} is of another export: remove it, or ask for that"
                )
            self.export_id = str(note["id"])
            return
        self.forget()
        self.export_id = self.client.post("/exports", asked)["id"]
        self._note.write_bytes(orjson.dumps({"id": self.export_id, "asked": asked}))

    def forget(self) -> None:
        """Remove what an earlier call left."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Prove the file and give it its name; return the manifest."""
        found = sha256_of(self.part)
        if found != shown["sha256"]:
            self.forget()
            raise Unavailable("what came is not what was exported: call again")
        body = self.client.get_bytes(f"/exports/{self.export_id}/manifest")
        if hashlib.sha256(body).hexdigest() != shown["manifest_sha256"]:
            raise Unavailable("the manifest is not the one in the record: export again")
        manifest_of(self.output).write_bytes(body)
        self.part.replace(self.output)
        self._note.unlink(missing_ok=True)
        manifest: dict[str, Any] = orjson.loads(body)
        return manifest


def _wait(client: Client, download: Download, bars: Progress) -> dict[str, Any]:
    """Show progress until the export is over; Ctrl-C ends it."""
    bar = bars.add_task("making", total=None, unit="rows")
    try:
        while True:
            shown: dict[str, Any] = client.get(f"/exports/{download.export_id}")
            total = shown["rows_total"]
            bars.update(bar, total=total, completed=shown["rows"], visible=shown["state"] in OPEN)
            if shown["state"] not in OPEN:
                return shown
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        _cancel(client, download)
        raise


def _cancel(client: Client, download: Download) -> None:
    try:
        client.post(f"/exports/{download.export_id}/cancel", {})
        download.forget()
    except (Refused, Unavailable):
        err.print("The export could not be cancelled; it goes on by itself.")


def _fetch(download: Download, shown: dict[str, Any], bars: Progress) -> None:
    """Bring the file here, from where the part that is here ends."""
    size = int(shown["bytes"])
    bar = bars.add_task("downloading", total=size, unit="bytes")
    for attempt in range(TRIES_MAX):
        have = download.part.stat().st_size if download.part.exists() else 0
        if have > size:
            download.part.unlink()
            have = 0
        bars.update(bar, completed=have)
        if have == size and download.part.exists():
            return
        try:
            _fetch_rest(download, shown["sha256"], have, lambda n: bars.advance(bar, n))
        except Unavailable:
            if attempt == TRIES_MAX - 1:
                raise
            time.sleep(TRY_S)
    raise Unavailable("the download broke off again and again: call again with --resume")


def _fetch_rest(download: Download, sha256: str, have: int, told: Callable[[int], None]) -> None:
    headers = {"If-Range": f'"{sha256}"', "Range": f"bytes={have}-"} if have else {}
    path = f"/exports/{download.export_id}/stream"
    with ExitStack() as stack:
        is_part, blocks = stack.enter_context(download.client.stream(path, headers))
        file = stack.enter_context(download.part.open("ab" if is_part else "wb"))
        for block in blocks:
            file.write(block)
            told(len(block))


def _bars(*, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} {task.fields[unit]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )


def manifest_of(file: Path) -> Path:
    """Return where the manifest of a file lies."""
    return file.with_name(f"{file.name}.manifest.json")


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what a file of ours says. Raises `Misconfigured`."""
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise Misconfigured(f"there is no {path}") from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise Misconfigured(f"{path} can't be read") from error
    if not isinstance(found, dict):
        raise Misconfigured(f"{path} can't be read")
    return found


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
