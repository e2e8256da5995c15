"""What a page or a route asks of the events: a query, a period, and who asks; as conditions."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from console.access import Principal
from console.query.conditions import Conditions
from console.query.fault import QueryError
from console.query.lexer import TEXT_MAX
from console.query.parse import parse
from console.query.seen import seen, wants_reads
from console.query.tree import All, Either, Node, Term
from console.query.write import and_, term
from console.search.asked import Search, to_node
from console.search.histogram import Period
from console.search.moment import parse_moment
from console.web.problems import Refused

QUERY_MAX: Final = TEXT_MAX

Moment = Annotated[str, Field(max_length=40, description="RFC 3339, a date, or so long ago: 7d.")]


class Asking(BaseModel):
    """A query, and a period besides what the query says of time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    q: Annotated[str, Field(max_length=QUERY_MAX, description="See docs/search.md.")] = ""
    since: Moment | None = None
    until: Annotated[Moment | None, Field(description="As since; exclusive.")] = None


@dataclass(frozen=True, slots=True)
class Question:
    """A query that was read: `found` is what may be seen of it, `period` what it says of time."""

    text: str
    node: Node
    found: Conditions
    period: Period
    has_reads: bool


def question(principal: Principal, asked: Asking, now_us: int) -> Question:
    """Read a query. Raises `QueryError` where it can't be read, `Refused` where it may not be."""
    search = Search(q=asked.q or None, since=asked.since, until=asked.until)
    whole = to_node(search)
    try:
        found = seen(whole, principal, now_us)
    except QueryError as error:
        if error.length:
            raise
        # it stands nowhere in the text: it is the period of the address
        raise Refused("bad_parameter", error.said, field="since", cure=error.cure) from error
    terms = [part for part in parts(whole) if isinstance(part, Term)]
    since = [parse_moment(term.value, now_us, "since") for term in terms if term.field == "since"]
    until = [parse_moment(term.value, now_us, "until") for term in terms if term.field == "until"]
    return Question(
        asked.q,
        node := parse(asked.q),
        found,
        Period(max(since, default=None), min(until, default=None)),
        wants_reads(node),
    )


def as_text(asked: Asking) -> str:
    """Return a query that says all of it: what an export or a saved search takes over."""
    period = and_(
        term("since", asked.since) if asked.since else "",
        term("until", asked.until) if asked.until else "",
    )
    query = f"({asked.q})" if asked.q.strip() and period else asked.q
    return and_(query, period)


def parts(node: Node) -> tuple[Node, ...]:
    """Return what must all hold: what can be taken away one by one."""
    return node.nodes if isinstance(node, All) else (node,)


def extended(text: str, node: Node, more: str) -> str:
    """Return the query as typed, narrowed by one term."""
    return and_(f"({text})" if isinstance(node, Either) else text.strip(), more)
