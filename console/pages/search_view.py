"""What the search page shows around its events: addresses, chips, columns, bars. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from console.pages.rendering import link
from console.query.text import text_of
from console.query.tree import Node, Term, all_of
from console.query.write import term
from console.search.facets import Facets
from console.search.histogram import Histogram
from console.search.moment import rfc3339
from console.search.question import Question, extended, parts

DEFAULT_COLUMNS: Final = (
    "timestamp",
    "user",
    "action",
    "result",
    "resource",
    "ip_address",
    "risk_score",
)
# Fields of an event as JSON has it; `country` and `changes` are made of several.
COLUMNS: Final = (
    *DEFAULT_COLUMNS,
    *("severity", "category", "verb", "resource_id", "reason", "changes", "flags", "rules"),
    *("role", "department", "user_status", "on_behalf_of", "tenant", "session_id", "request_id"),
    *("country", "client", "user_agent", "source", "data_class", "event_id", "recorded"),
)
COLUMNS_MAX: Final = 20  # more than a page is wide
PATH_MAX: Final = 128
PERIODS: Final = (
    ("15m", "15 minutes"),
    ("1h", "Hour"),
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("", "All time"),
)
CHART_WIDTH: Final = 1_200
CHART_HEIGHT: Final = 96
BAR_GAP: Final = 1
TICKS: Final = 6
EDGE: Final = 5  # hundredths; a label nearer to an end would be cut off in its middle
TICK_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 10_800, 21_600, 43_200, 86_400),
)
# The order of the parts of a bar, from its foot; what went wrong lies on top and in colour.
PART_KINDS: Final[Mapping[str, str]] = {
    "success": "good",
    "unknown": "plain",
    "failure": "bad",
    "denied": "bad",
    "error": "bad",
}
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Here:
    """Where the page is: all that its address says but the place in the pages."""

    q: str = ""
    since: str | None = None
    until: str | None = None
    columns: str | None = None
    limit: int | None = None

    def to(self, path: str = "/search", **more: object) -> str:
        """Return the address of this search on a page of it."""
        return link(
            path,
            q=self.q,
            since=self.since,
            until=self.until,
            columns=self.columns,
            limit=self.limit,
            **more,
        )

    def with_query(self, text: str) -> str:
        """Return the address of another query, all else as it is."""
        return replace(self, q=text).to()

    def within(self, since: str | None, until: str | None) -> str:
        """Return the address of another period."""
        return replace(self, since=since, until=until).to()

    def with_limit(self, limit: int) -> str:
        """Return the address with so many rows a page."""
        return replace(self, limit=limit).to()

    def with_columns(self, columns: Sequence[str]) -> str:
        """Return the address with other columns."""
        return replace(self, columns=",".join(columns)).to()


@dataclass(frozen=True, slots=True)
class Chip:
    """One condition that holds, and the address without it."""

    text: str
    without: str


def chips(found: Question, here: Here) -> list[Chip]:
    """Return the conditions of a search that can be taken away one by one."""
    shown = []
    if found.text.strip():
        nodes = parts(found.node)
        for number, node in enumerate(nodes):
            rest = text_of(all_of((*nodes[:number], *nodes[number + 1 :])))
            shown.append(Chip(text_of(node), here.with_query(rest)))
    if here.since:
        shown.append(Chip(f"from {here.since}", here.within(None, here.until)))
    if here.until:
        shown.append(Chip(f"before {here.until}", here.within(here.since, None)))
    return shown


def columns_of(asked: str | None) -> tuple[str, ...]:
    """Return the columns to show; those that there aren't are left out."""
    names = [name.strip() for name in (asked or "").split(",")]
    known = [
        name
        for name in dict.fromkeys(names)
        if name in COLUMNS or (name.startswith("details.") and 0 < len(name) <= PATH_MAX)
    ]
    return tuple(known[:COLUMNS_MAX]) or DEFAULT_COLUMNS


def value_of(event: Mapping[str, Any], column: str, details: object) -> object:
    """Return what a column shows of an event."""
    if column == "country":
        return event["geo"]["country"]
    if column == "changes":
        return ", ".join(change["path"] or "value" for change in event["changes"])
    if column in ("flags", "rules"):
        return ", ".join(event[column])
    if not column.startswith("details."):
        return event[column]
    found = details
    for key in column.split(".")[1:]:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet: the address with it, without such, and whether it is asked for."""

    value: str
    rows: int
    share: float
    link: str
    exclude: str
    is_on: bool


def choices(facets: Facets, found: Question, here: Here) -> list[tuple[str, list[Choice]]]:
    """Return the facets to show, as links. Those of fields that no event says are left out."""
    asked = {
        (node.field, node.value): node
        for node in parts(found.node)
        if isinstance(node, Term) and len(node.parts) == 1
    }
    shown = []
    for field, values in facets.fields.items():
        if not any(value.value for value in values):
            continue
        most = max(value.rows for value in values)
        listed = []
        for value in values:
            node = asked.get((field, value.value))
            added = extended(found.text, found.node, term(field, value.value))
            removed = extended(found.text, found.node, term(field, value.value, negate=True))
            target = _without(found.node, node) if node else added
            listed.append(
                Choice(
                    value.value,
                    value.rows,
                    value.rows / most,
                    here.with_query(target),
                    here.with_query(removed),
                    node is not None,
                )
            )
        shown.append((field, listed))
    return shown


def _without(node: Node, term: Term) -> str:
    return text_of(all_of(part for part in parts(node) if part is not term))


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the chart."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class BarShown:
    """One bar of the chart: where it stands, what it is of, and the address of its time."""

    x: float
    width: float
    parts: Sequence[Part]
    label: str
    link: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment under the chart, at its place: in hundredths of the width."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chart:
    """The events over time, drawn."""

    bars: Sequence[BarShown]
    ticks: Sequence[Tick]
    first_ms: int
    end_ms: int
    width: str
    most: int
    legend: Sequence[str]


def chart(found: Histogram, here: Here) -> Chart | None:
    """Return what to draw; None without events."""
    if found.span is None or not found.bars:
        return None
    first_s = min(found.span.first_s, found.bars[0].start_s)
    end_s = max(found.span.end_s, found.bars[-1].start_s + found.width_s)
    scale = CHART_WIDTH / (end_s - first_s)
    most = max(bar.rows for bar in found.bars)
    about = "about " if found.sampled > 1 else ""
    bars = []
    for bar in found.bars:
        since, until = _text(bar.start_s), _text(bar.start_s + found.width_s)
        parts_said = ", ".join(f"{rows:,} {name}" for name, rows in sorted(bar.parts.items()))
        bars.append(
            BarShown(
                round((bar.start_s - first_s) * scale, 2),
                round(max(1.0, found.width_s * scale - BAR_GAP), 2),
                _stacked(bar.parts, most),
                f"{since}: {about}{bar.rows:,} events ({parts_said})",
                here.within(since, until),
            )
        )
    names = {name for bar in found.bars for name in bar.parts}
    return Chart(
        bars,
        _ticks(first_s, end_s),
        first_s * 1000,
        end_s * 1000,
        width_text(found.width_s),
        most,
        [name for name in PART_KINDS if name in names],
    )


def _stacked(parts: Mapping[str, int], most: int) -> list[Part]:
    drawn = []
    foot = float(CHART_HEIGHT)
    for name in sorted(parts, key=lambda one: [*PART_KINDS, one].index(one)):
        height = parts[name] / most * CHART_HEIGHT
        foot -= height
        drawn.append(Part(name, round(max(0.0, foot), 2), round(height, 2)))
    return drawn


def _ticks(first_s: int, end_s: int) -> list[Tick]:
    """Return round moments of the span where they lie: a date stands at its midnight."""
    length = end_s - first_s
    step = next((width for width in TICK_STEPS_S if length / width <= TICKS), TICK_STEPS_S[-1])
    while length / step > TICKS:
        step *= 2
    start, end = (0, 10) if step >= _DAY_S else (5, 16 if step >= _MINUTE_S else 19)
    ticks = []
    for moment in range(-(-first_s // step) * step, end_s + 1, step):
        x = round((moment - first_s) / length * 100, 2)
        text = _text(moment)[start:end].replace("T", " ")
        ticks.append(Tick(x, text, "start" if x < EDGE else "end" if x > 100 - EDGE else "middle"))
    return ticks


def width_text(seconds: int) -> str:
    """Return a length of time for people: 15 minutes, 1 day."""
    for name, length in (("day", _DAY_S), ("hour", 3_600), ("minute", _MINUTE_S)):
        if seconds >= length and seconds % length == 0:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} second{'s' if seconds > 1 else ''}"


def wider(found: Histogram, here: Here) -> str:
    """Return the address of three times the span shown."""
    assert found.span is not None, "only what is drawn has a span"
    length = found.span.length_s
    return here.within(_text(found.span.first_s - length), _text(found.span.end_s + length))


def _text(moment_s: int) -> str:
    return rfc3339(moment_s * 1_000_000)


def sent(asked: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    """Return of what was asked what a form sends along unseen."""
    return {name: asked[name] for name in names if asked.get(name) not in (None, "")}
