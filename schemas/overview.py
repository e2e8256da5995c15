"""What an overview of a search answers: its events over time, and the values they have most."""

from schemas.views import View


class BarOut(View):
    """The events from `start` on, for the width of a bar; `parts` splits them."""

    start: str
    rows: int
    parts: dict[str, int]


class HistogramOut(View):
    """Events over time, oldest first. A bar without events is left out.

    `sampled` is 1 where all were counted; where it is n, one block in n was, and each count is an
    estimate. `before` and `after` are events outside of the bars: few, far from all others.
    """

    since: str | None
    until: str | None
    width_s: int
    rows: int
    before: int
    after: int
    sampled: int
    bars: tuple[BarOut, ...]


class FacetValueOut(View):
    """One value of a field, and how many events have it; "" are those that don't say."""

    value: str
    rows: int


class FacetOut(View):
    """The values of a field that most events have."""

    field: str
    values: tuple[FacetValueOut, ...]


class FacetsOut(View):
    """The values of each field; `sampled` as in a histogram. `rows` is how many events matched."""

    rows: int
    sampled: int
    facets: tuple[FacetOut, ...]
