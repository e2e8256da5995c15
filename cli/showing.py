"""One event, one alert, one message whole: sections of names and values, for people."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from cli.terminal import SEVERITY_STYLES, Column, cell, json_text, out, print_table, visible

INDENT: Final = "  "
# Told under Provenance, where they belong.
_PROVENANCE: Final = frozenset({"topic", "partition", "offset", "recorded", "stored"})
_NOTHING: Final[tuple[object, ...]] = (None, "", [], {}, ())
_DELIVERY_TABLE: Final = {
    "tried": Column("TIME (UTC)"),
    "target": Column("TARGET", least=16),
    "attempt": Column("ATTEMPT"),
    "outcome": Column("OUTCOME"),
    "reason": Column("REASON", least=20),
}
_HISTORY_TABLE: Final = {
    "at": Column("TIME (UTC)"),
    "who": Column("WHO", least=12),
    "kind": Column("WHAT"),
    "before": Column("BEFORE", drop=1),
    "value": Column("AFTER", least=20),
}
_ALERT_FIELDS: Final = (
    "alert_id",
    "severity",
    "summary",
    "user",
    "ip_address",
    "action",
    "resource",
    "session_id",
    "tenant",
    "occurred",
    "recorded",
    "stored",
    "historical",
    "rule_id",
    "rule_version",
    "tags",
    "group",
    "event_count",
    "status",
    "assignee",
    "alerts",
    "last",
    "lead_id",
    "suppressed_by",
    "rule_set",
)


def quoted(text: str) -> str:
    """Return the text as one part of a URL's path."""
    return quote(text, safe="")


def short(moment: str) -> str:
    """Return an RFC 3339 moment to the second, as tables show it."""
    return moment[:19].replace("T", " ")


def at_of(partition: int | str, offset: int | str) -> str:
    """Return the place on audit.events as `audit show` takes it."""
    return f"{partition}:{offset}"


def print_event(event: Mapping[str, Any]) -> None:
    """Print what the event says and what was derived; details and changes readably."""
    shown = {name: value for name, value in event.items() if name not in _PROVENANCE}
    shown["geo"] = {name: value for name, value in event["geo"].items() if value}
    shown["details"] = _indented_json(event["details"]) if event["details"] else None
    shown["changes"] = _Laid("\n".join(_diff(change) for change in event["changes"]))
    print_section("Event", shown)


def print_alert(shown: Mapping[str, Any]) -> None:
    """Print an alert with what to do, which events it is about, and who was told."""
    alert = shown["alert"]
    out.print(f"\n{visible(alert['title'])}", style="bold", markup=False, soft_wrap=True)
    _print_fields({name: alert[name] for name in _ALERT_FIELDS})
    if alert["why"]:
        out.print("\nWhy it matters", style="bold")
        _print_lines([alert["why"]])
    if alert["runbook"]:
        out.print("\nWhat to do", style="bold")
        _print_lines(alert["runbook"].splitlines())
    out.print("\nEvents", style="bold")
    _print_lines(alert["event_ids"])
    out.print("\nDeliveries", style="bold")
    if shown["deliveries"]:
        rows = [{**tried, "tried": short(tried["tried"])} for tried in shown["deliveries"]]
        print_table(rows, _DELIVERY_TABLE)
    else:
        why = "its event was old when it came" if alert["historical"] else "there is no target"
        _print_lines([f"none: {why}"])
    if shown["history"]:
        out.print("\nHistory", style="bold")
        print_table([{**one, "at": short(one["at"])} for one in shown["history"]], _HISTORY_TABLE)


def print_section(title: str, fields: Mapping[str, Any]) -> None:
    """Print a heading, then each field that says something."""
    out.print(f"\n{title}", style="bold")
    _print_fields(fields)


def print_raw(shown: Mapping[str, Any]) -> None:
    """Print the bytes: as text where they are text, else in base64."""
    is_text = shown.get("raw") is not None
    out.print("\nRaw bytes" if is_text else "\nRaw bytes, as base64", style="bold")
    out.print(
        visible(shown["raw" if is_text else "raw_base64"] or ""), markup=False, soft_wrap=True
    )


def _print_fields(fields: Mapping[str, Any]) -> None:
    said = {name: value for name, value in fields.items() if value not in _NOTHING}
    width = max(map(len, said), default=0)
    for name, value in said.items():
        style = SEVERITY_STYLES.get(value) if name == "severity" else None
        first, *more = _spell(value).splitlines() or [""]
        out.print(f"{INDENT}{name:<{width}}{INDENT}", end="", markup=False, soft_wrap=True)
        out.print(first, style=style, markup=False, soft_wrap=True)
        for line in more:
            out.print(" " * (width + 2 * len(INDENT)) + line, markup=False, soft_wrap=True)


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        out.print(INDENT + visible(line), markup=False, soft_wrap=True)


def _spell(value: object) -> str:
    """Return the value for people; only what we laid out ourselves has more than one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, _Laid):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{cell(name)} {cell(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    return cell(value)


class _Laid(str):
    """Text of several lines, each of which is visible already."""

    __slots__ = ()


def _indented_json(value: object) -> _Laid:
    return _Laid(json_text(value, indent=2))


def _diff(change: Mapping[str, Any]) -> str:
    lines = [visible(change["path"])]
    for mark, side in (("-", "before"), ("+", "after")):
        if change[side] is not None:
            lines.append(f"{INDENT}{mark} {visible(json_text(change[side]))}")
    return "\n".join(lines)
