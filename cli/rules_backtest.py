"""`audit rules backtest`: what a rule would have raised over the history in the store."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cli.client import Client, Refused
from cli.context import api_options, ends_well, json_option, open_client
from cli.rules_shared import dirs_option, find_rule, load, warn_of_refusals
from cli.terminal import SEVERITY_STYLES, Column, err, out, print_json, print_table, visible
from detections.backtest import PAGING, Backtest, day_of, spell_need
from detections.rulebook import span_of
from detections.trial import Raised
from runtime.clock import SystemClock
from schemas.errors import BadEvent, Misconfigured

HISTORY_MAX: Final = timedelta(days=3_660)  # ten years: longer than anybody keeps events
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WINDOW_MS_MIN: Final = 60_000
WINDOW_MS_MAX: Final = 14 * DAY_MS
BAR_WIDTH: Final = 40
PLACE: Final = ("recorded_ms", "incarnation", "partition", "offset")

DAY_TABLE: Final = {"day": Column("DAY"), "alerts": Column("ALERTS"), "bar": Column("", drop=1)}
EXAMPLE_TABLE: Final = {
    "time": Column("TIME (UTC)"),
    "severity": Column("SEVERITY", styles=SEVERITY_STYLES),
    "summary": Column("WHAT", least=40),
    "alert_id": Column("ALERT", drop=1),
}


@click.command()
@api_options
@dirs_option
@click.argument("rule")
@click.option("--since", default="90d", show_default=True, help="How far back: 24h, 90d.")
@click.option("--tenant", help="Only this tenant.")
@json_option
@ends_well
def backtest(
    *,
    data: Path,
    api: str | None,
    token_file: Path | None,
    dirs: tuple[Path, ...],
    rule: str,
    since: str,
    tenant: str | None,
    as_json: bool,
) -> None:
    """Run RULE over all history in the store, with the semantics and alert ids of live.

    The rule is taken from the folders as it is there now. Only events that could matter to it
    are read.
    """
    loaded = load(dirs, with_drafts=True)
    found = find_rule(loaded.ruleset, rule, dirs)
    test = Backtest(loaded.folder.rules, loaded.folder.exceptions, found.rule_id)
    now_ms = SystemClock().now_ms()
    from_ms = now_ms - _span_ms(since)
    client = open_client(data, api, token_file)
    begun = time.monotonic()
    with _bar() as bar:
        task = bar.add_task("backtest", total=now_ms - from_ms, said="")

        def progress(reached_ms: int) -> None:
            said = f"{test.tally.events:,} events, {len(test.tally.alerts):,} alerts"
            bar.update(task, completed=reached_ms - from_ms, said=said)

        asked = {"tenant": tenant, "needs": [spell_need(need) for need in test.needs]}
        for page in pages(client, asked, (from_ms, now_ms), progress):
            test.take(page["members"], page["rows"])
    test.finish(now_ms)
    seconds = time.monotonic() - begun
    _tell(test, found.severity, (from_ms, now_ms), seconds, as_json=as_json)
    warn_of_refusals(loaded)


def _bar() -> Progress:
    columns = (
        TextColumn("backtest"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    # without a terminal it would leave an empty line behind
    return Progress(*columns, console=err, transient=True, disable=not err.is_interactive)


def _span_ms(since: str) -> int:
    try:
        return round(span_of(since, HISTORY_MAX).total_seconds() * 1000)
    except BadEvent as error:
        want = f"want a span such as 24h or 90d, at most {HISTORY_MAX.days}d"
        raise Misconfigured(f"--since: {want}") from error


def pages(
    client: Client,
    asked: dict[str, Any],
    period_ms: tuple[int, int],
    progress: Callable[[int], None],
) -> Iterator[dict[str, Any]]:
    """Yield pages from first to last; windows of time grow while they are light."""
    at_ms, end_ms = period_ms
    width_ms, width_ms_max = DAY_MS, WINDOW_MS_MAX
    after: dict[str, Any] | None = None
    while at_ms < end_ms:
        to_ms = min(at_ms + width_ms, end_ms)
        body = {**asked, "from_ms": at_ms, "to_ms": to_ms, "after": after}
        try:
            page = client.post_for_rows("/scan", body)
        except Refused as error:
            if error.status != HTTPStatus.BAD_REQUEST or width_ms <= WINDOW_MS_MIN:
                raise
            width_ms = max(WINDOW_MS_MIN, min(width_ms, to_ms - at_ms) // 4)
            width_ms_max = 2 * width_ms  # so broad is too broad for one query
            continue
        yield page
        if page["has_more"]:  # as wide as one page: the store sorts what a window holds
            last = dict(zip(page["members"], page["rows"][-1], strict=True))
            width_ms = max(1, last["recorded_ms"] - at_ms)
            at_ms, after = last["recorded_ms"], {name: last[name] for name in PLACE}
        else:
            width_ms = min(width_ms_max, 2 * width_ms)
            at_ms, after = to_ms, None
        progress(at_ms)


def _tell(
    test: Backtest,
    severity: str,
    period_ms: tuple[int, int],
    seconds: float,
    *,
    as_json: bool,
) -> None:
    tally, trial = test.tally, test.trial
    days = dict(sorted(tally.days.items()))
    summary = {
        "rule": test.rule_id,
        "since": day_of(period_ms[0]),
        "until": day_of(period_ms[1]),
        "events": tally.events,
        "seconds": round(seconds, 3),
        "alerts": len(tally.alerts),
        "pages": tally.pages,
        "hidden": len(trial.hidden),
        "groups_shed": trial.shed,
        "days": days,
    }
    if as_json:
        ids = sorted(tally.alerts)
        print_json({**summary, "examples": [_row(a) for a in test.examples()], "alert_ids": ids})
        return
    most = max(days.values(), default=1)
    rows = [
        {"day": day, "alerts": count, "bar": "#" * max(1, count * BAR_WIDTH // most)}
        for day, count in days.items()
    ]
    print_table(rows, DAY_TABLE)
    if tally.alerts:
        out.print("\nThe latest", style="bold")
        print_table([_row(alert) for alert in test.examples()], EXAMPLE_TABLE)
    rate = tally.events / seconds if seconds else 0
    told = (
        f"\n{test.rule_id}: {len(tally.alerts):,} alerts from {summary['since']} to"
        f" {summary['until']}; {tally.events:,} events could matter and were judged in"
        f" {seconds:.1f} s ({rate:,.0f} a second)."
    )
    out.print(visible(told[1:]), markup=False, soft_wrap=True)
    if severity in PAGING:
        paged = f"It would have paged {tally.pages:,} times (repeats within an hour once)."
    else:
        paged = f"It would have paged nobody: its severity is {severity}."
    out.print(paged, markup=False, soft_wrap=True)
    if trial.hidden:
        out.print(f"Exceptions hid {len(trial.hidden):,} findings.", markup=False)
    if trial.shed:
        out.print(f"{trial.shed:,} groups were let go for want of room.", style="yellow")


def _row(alert: Raised) -> dict[str, Any]:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(alert.occurred_ms // 1000))
    return {
        "time": moment,
        "severity": alert.severity,
        "summary": alert.summary or alert.group,
        "alert_id": alert.alert_id,
    }
