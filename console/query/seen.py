"""A query within what somebody may see: the one way from a tree to what the store is asked."""

from console.access import Principal
from console.query.compile import compile_query
from console.query.conditions import Conditions
from console.query.fault import FIELD
from console.query.scope import scoped
from console.query.tree import Node, Term, asks_for, signed_terms
from console.web.problems import Refused
from schemas.canary import CANARY


def seen(node: Node, principal: Principal, now_us: int) -> Conditions:
    """Return the conditions of a query, and of what the principal may see of what it finds.

    Reads and canaries are found only by a query that asks for them: with `is:read`; with
    `is:canary`, `flag:canary` or a tenant. Raises `Refused` for what may not be asked.
    """
    _refuse_foreign_tenant(node, principal.tenant)
    found = scoped(principal, reads=wants_reads(node), canaries=wants_canaries(node))
    return found.with_all(compile_query(node, now_us))


def wants_reads(node: Node) -> bool:
    """Say whether a query asks for reads."""
    return asks_for(node, lambda term: term.field == "is" and term.value == "read")


def wants_canaries(node: Node) -> bool:
    """Say whether a query asks for canaries; who asks for their tenant does."""

    def is_wanted(term: Term) -> bool:
        if term.field == "tenant":
            return len(term.parts) == 1
        return term.field in ("is", "flag") and term.parts == (CANARY,)

    return asks_for(node, is_wanted)


def foreign_tenant(field: str) -> Refused:
    """Return what to raise where a tenant is asked for that the credential doesn't reach."""
    return Refused("forbidden_tenant", "the token does not reach that tenant", field=field)


def _refuse_foreign_tenant(node: Node, allowed: str | None) -> None:
    """Say so instead of finding nothing. A term that stands nowhere came as a parameter."""
    for term, is_positive in signed_terms(node):
        is_named = term.field == "tenant" and is_positive and len(term.parts) == 1
        if is_named and allowed is not None and term.value != allowed:
            raise foreign_tenant(FIELD if term.length else "tenant")
