"""Events over time: how wide a bar is, between which moments, and the query that counts them.

A few passes, each over a narrower span: the first one is as wide as what the store holds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from console.query.conditions import Conditions, Query
from console.search.moment import FIRST_US, LAST_US, rfc3339, store_text
from console.search.reading import Reader, Settings
from console.web.problems import Refused
from schemas.tables import EVENTS

By = Literal["result", "severity"]

BARS_MAX: Final = 120  # at 8 pixels each they fill a page
BARS_MIN: Final = 30  # less of them in the span counted, and it is counted again, finer
STEPS_MAX: Final = 2_400  # fine enough to be put together to bars of any good width
PASSES_MAX: Final = 4  # 400 years to seconds: each pass is some thousand times finer
FAR_SHARE: Final = 0.001  # so few events at one end are left out …
FAR_TIMES: Final = 4  # … if the span without them is so many times shorter
SAMPLE: Final = 16  # one block in so many, where counting all takes too long
BLOCK_ROWS: Final = 1_024  # the granule of `events`: what the store reads at least
SECONDS_MAX: Final = 3  # before the count is an estimate
# Each divides most of those after it; the last serve what claims to be of another century.
WIDTHS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200),
    *(86_400, 172_800, 604_800, 1_209_600, 2_592_000, 7_776_000, 31_104_000, 155_520_000),
)
_SECOND_US: Final = 1_000_000
_BROAD: Final = "query_too_broad"


class Span(NamedTuple):
    """From one moment to before another, in seconds since 1970."""

    first_s: int
    end_s: int

    @property
    def length_s(self) -> int:
        """How long it is; at least a second."""
        return max(1, self.end_s - self.first_s)


@dataclass(frozen=True, slots=True)
class Period:
    """What the question itself says of time, in microseconds; None where it says nothing."""

    since_us: int | None = None
    until_us: int | None = None

    def span(self, data: Span) -> Span:
        """Return the span to show: as asked, else as the data has it."""
        first_s = data.first_s if self.since_us is None else self.since_us // _SECOND_US
        end_s = data.end_s if self.until_us is None else -(-self.until_us // _SECOND_US)
        return Span(first_s, max(end_s, first_s + 1))


@dataclass(frozen=True, slots=True)
class Bar:
    """The events of one width of time, by result or severity."""

    start_s: int
    parts: Mapping[str, int]

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars of one width within a span; `before` and `after` are outside of it."""

    span: Span | None = None
    width_s: int = 1
    bars: Sequence[Bar] = ()
    before: int = 0
    after: int = 0
    sampled: int = 1

    @property
    def rows(self) -> int:
        """All events counted."""
        return self.before + self.after + sum(bar.rows for bar in self.bars)


def width_of(length_s: int, step_s: int = 1, *, bars_max: int = BARS_MAX) -> int:
    """Return the narrowest good width that needs no more bars, and is whole steps."""
    for width_s in WIDTHS_S:
        if width_s % step_s == 0 and -(-length_s // width_s) <= bars_max:
            return width_s
    return step_s * -(-length_s // (step_s * bars_max))


def step_of(length_s: int) -> int:
    """Return how finely to count a span."""
    return width_of(length_s, bars_max=STEPS_MAX)


def edge(*, is_last: bool) -> Query:
    """Build the query for the first or last moment that the store holds: along its sort key."""
    order = "DESC" if is_last else "ASC"
    sql = (
        f"SELECT toUnixTimestamp64Micro(occurred) AS us FROM {EVENTS} "
        f"ORDER BY intDiv(toUnixTimestamp64Micro(occurred), 60000000) {order} LIMIT 1"
    )
    return Query(sql, {})


def counts(found: Conditions, by: By, step_s: int, *, sample: int = 1) -> Query:
    """Build the query for the number of events in each step, split."""
    # moments before 1970 are shifted too, as a division of the store rounds towards zero
    shift_s = step_s * -(-abs(FIRST_US) // _SECOND_US // step_s)
    sql = (
        "SELECT intDiv(toUnixTimestamp64Second(occurred) + {shift:Int64}, {step:Int64}) AS place, "
        f"{by} AS part, count() AS rows FROM {EVENTS} {sampling(sample)} WHERE {found.where()} "
        "GROUP BY place, part"
    )
    return Query(sql, {**found.parameters, "step": step_s, "shift": shift_s})


def sampling(sample: int) -> str:
    """Return what narrows a query on `events` to one block in so many: the others aren't read."""
    assert sample >= 1, "one block in so many"
    if sample == 1:
        return ""
    # which ones differs from part to part: else the first block of each small one would be there
    return f"PREWHERE (intDiv(_part_offset, {BLOCK_ROWS}) + 37 * _part_index) % {int(sample)} = 0"


def within(found: Conditions, span: Span) -> Conditions:
    """Narrow to a span."""
    return found.also(
        "occurred >= {h_since:DateTime64(6, 'UTC')} AND occurred < {h_until:DateTime64(6, 'UTC')}",
        h_since=_moment(span.first_s),
        h_until=_moment(span.end_s),
    )


@dataclass(frozen=True, slots=True)
class _Count:
    """What to count, and whether of all blocks or of one in `sample`."""

    reader: Reader
    found: Conditions
    period: Period
    by: By
    sample: int = 1

    async def run(self, span: Span, made: Histogram, passes: int = PASSES_MAX) -> Histogram:
        """Count a span, and what holds data of it again where that is much less."""
        step_s = step_of(span.length_s)
        query = counts(within(self.found, span), self.by, step_s, sample=self.sample)
        settings: Settings = {"max_execution_time": SECONDS_MAX} if self.sample == 1 else {}
        steps = _steps(await self.reader.rows(query, settings), step_s, self.sample)
        if not steps:
            return made
        near, before, after = _near(steps, step_s, self.period)
        made = replace(made, before=made.before + before, after=made.after + after)
        data = Span(near[0].start_s, near[-1].start_s + step_s)
        if step_s == 1 or passes == 1 or data.length_s // step_s >= BARS_MIN:
            return _put_together(made, near, self.period.span(data), step_s)
        narrower = Span(max(span.first_s, data.first_s), min(span.end_s, data.end_s))
        return await self.run(narrower, made, passes - 1)


async def histogram(reader: Reader, found: Conditions, period: Period, by: By) -> Histogram:
    """Count the events found over time; an estimate where counting all takes too long.

    Raises `Refused` where even that does.
    """
    edges = [await reader.rows(edge(is_last=last)) for last in (False, True)]
    if not all(edges):
        return Histogram()
    span = _cut(period, *(rows[0]["us"] for rows in edges))
    try:
        return await _Count(reader, found, period, by).run(span, Histogram())
    except Refused as refused:
        if refused.kind != _BROAD:
            raise
        counting = _Count(reader, found, period, by, SAMPLE)
        return await counting.run(span, Histogram(sampled=SAMPLE))


def _cut(period: Period, first_us: int, last_us: int) -> Span:
    """Return the span to count: of the period what the store can have."""
    since_us = max(first_us, FIRST_US if period.since_us is None else period.since_us)
    until_us = min(last_us + 1, LAST_US if period.until_us is None else period.until_us)
    first_s = since_us // _SECOND_US
    return Span(first_s, max(first_s + 1, -(-until_us // _SECOND_US)))


def _steps(rows: Iterable[Mapping[str, Any]], step_s: int, sample: int) -> list[Bar]:
    shift = -(-abs(FIRST_US) // _SECOND_US // step_s)
    found: dict[int, dict[str, int]] = {}
    for row in rows:
        parts = found.setdefault((row["place"] - shift) * step_s, {})
        parts[row["part"]] = parts.get(row["part"], 0) + row["rows"] * sample
    return [Bar(start_s, found[start_s]) for start_s in sorted(found)]


def _near(steps: list[Bar], step_s: int, period: Period) -> tuple[list[Bar], int, int]:
    """Leave out the few steps far from all others, and count them; not where a bound was asked."""
    allowed = sum(bar.rows for bar in steps) * FAR_SHARE
    first, end, before, after = 0, len(steps), 0, 0
    if period.since_us is None:
        while end - first > 1 and before + steps[first].rows <= allowed:
            before += steps[first].rows
            first += 1
    if period.until_us is None:
        while end - first > 1 and after + steps[end - 1].rows <= allowed:
            after += steps[end - 1].rows
            end -= 1
    whole_s = steps[-1].start_s + step_s - steps[0].start_s
    rest_s = steps[end - 1].start_s + step_s - steps[first].start_s
    if rest_s * FAR_TIMES > whole_s:
        return steps, 0, 0
    return steps[first:end], before, after


def _put_together(made: Histogram, steps: Sequence[Bar], span: Span, step_s: int) -> Histogram:
    width_s = width_of(span.length_s, step_s)
    found: dict[int, dict[str, int]] = {}
    for step in steps:
        parts = found.setdefault(step.start_s // width_s * width_s, {})
        for name, rows in step.parts.items():
            parts[name] = parts.get(name, 0) + rows
    bars = [Bar(start_s, parts) for start_s, parts in sorted(found.items())]
    return replace(made, span=span, width_s=width_s, bars=bars)


def render_histogram(found: Histogram) -> dict[str, Any]:
    """Return a `HistogramOut`."""
    span = found.span
    return {
        "since": None if span is None else _rfc3339(span.first_s),
        "until": None if span is None else _rfc3339(span.end_s),
        "width_s": found.width_s,
        "rows": found.rows,
        "before": found.before,
        "after": found.after,
        "sampled": found.sampled,
        "bars": [
            {"start": _rfc3339(bar.start_s), "rows": bar.rows, "parts": dict(bar.parts)}
            for bar in found.bars
        ],
    }


def _rfc3339(moment_s: int) -> str:
    return rfc3339(_us(moment_s))


def _moment(moment_s: int) -> str:
    return store_text(_us(moment_s))


def _us(moment_s: int) -> int:
    return min(max(moment_s * _SECOND_US, FIRST_US), LAST_US)
