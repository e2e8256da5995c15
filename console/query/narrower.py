"""What to do about a query that reads too much: the part of it that costs, and what would help."""

from typing import Final

from console.query.fault import FIELD
from console.query.fields import field_of
from console.query.tree import All, Node, Term, signed_terms
from console.web.problems import Refused

# An equal value of these is found without looking at every row.
QUICK: Final = ("session", "user", "ip", "resource", "resource_id", "event")


def too_broad(node: Node) -> Refused:
    """Return the refusal of a query that hit its bound, with how to narrow this very query."""
    tops = node.nodes if isinstance(node, All) else (node,)
    named = {term.field for term in tops if isinstance(term, Term) and len(term.parts) == 1}
    kinds = {field_of(term.field).kind for term, _ in signed_terms(node)}
    ways = []
    if "since" not in named:
        ways.append("add since:24h, or another moment, to look at less time")
    elif "until" not in named:
        ways.append("bring since closer, or add until: to look at less time")
    else:
        ways.append("bring since and until closer together")
    if not named & set(QUICK):
        ways.append(f"name one of {', '.join(QUICK[:4])} exactly, without a *")
    if kinds & {"inside", "member"}:
        ways.append("texts and details are read from each event: add a field beside them")
    return Refused(
        "query_too_broad",
        "the query hit its bound of time or memory",
        field=FIELD,
        cure="; ".join(ways),
    )
