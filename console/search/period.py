"""The period that a page looks at: from, until, how it is said, and as conditions. Pure."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from console.query.conditions import Conditions
from console.search.moment import RELATIVE, parse_moment, rfc3339, store_text
from console.web.problems import Refused

ALL: Final = "all"
DEFAULT: Final = "30d"
CHOICES: Final = (
    ("24h", "24 hours"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("90d", "90 days"),
    ("365d", "a year"),
    (ALL, "all time"),
)

Moment = Annotated[
    str, Field(max_length=40, description="RFC 3339, a date, so long ago (7d), or all.")
]


class PeriodAsked(BaseModel):
    """The parameters of a period; models of pages that look at one extend it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: Moment | None = None
    until: Moment | None = None

    def period(self, now_us: int, default: str = DEFAULT) -> "Period":
        """Return the period. Raises `Refused`."""
        return period_of(self.since, self.until, now_us, default)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since_us`, None for ever, to `until_us` exclusive, None for now; `asked` says it."""

    since_us: int | None
    until_us: int | None
    asked: str
    now_us: int

    def narrow(self, found: Conditions, column: str = "occurred") -> Conditions:
        """Return the conditions and those of this period."""
        for name, moment_us, side in (
            ("p_since", self.since_us, ">="),
            ("p_until", self.until_us, "<"),
        ):
            if moment_us is not None:
                clause = f"{column} {side} {{{name}:DateTime64(6, 'UTC')}}"
                found = found.also(clause, **{name: store_text(moment_us)})
        return found

    @property
    def since(self) -> str | None:
        """The first moment in RFC 3339; None for ever."""
        return None if self.since_us is None else rfc3339(self.since_us)

    @property
    def until(self) -> str | None:
        """The moment after the last one; None for now."""
        return None if self.until_us is None else rfc3339(self.until_us)

    @property
    def words(self) -> str:
        """The period as a part of a sentence."""
        begin = "the beginning" if self.since_us is None else _shown(self.since_us)
        end = "now" if self.until_us is None else _shown(self.until_us)
        return f"between {begin} and {end}"

    def data(self) -> dict[str, Any]:
        """Return it as JSON; `until` of a period that goes on is the moment of the question."""
        until = rfc3339(self.now_us) if self.until_us is None else self.until
        return {"since": self.since, "until": until, "asked": self.asked, "words": self.words}

    def parameters(self) -> dict[str, str]:
        """Return what asks another page for the same period, fixed in time."""
        given = {"since": self.since or ALL, "until": self.until or ""}
        return {name: value for name, value in given.items() if value}


def period_of(since: str | None, until: str | None, now_us: int, default: str = DEFAULT) -> Period:
    """Read the two parameters. Raises `Refused` naming the one at fault."""
    until_us = None if until in (None, "") else parse_moment(until or "", now_us, "until")
    asked = since or default
    if asked == ALL:
        return Period(None, until_us, ALL, now_us)
    base_us = until_us if until_us is not None and RELATIVE.fullmatch(asked) else now_us
    since_us = parse_moment(asked, base_us, "since")
    if until_us is not None and since_us >= until_us:
        raise Refused(
            "bad_parameter",
            "since is not before until",
            field="since",
            cure="exchange them, or leave one out",
        )
    return Period(since_us, until_us, asked, now_us)


def _shown(moment_us: int) -> str:
    return rfc3339(moment_us)[:19].replace("T", " ")
