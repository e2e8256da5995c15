"""From the tree to conditions on `events`. What comes from outside becomes parameters only.

The SQL's text is a function of the query's shape: its fields, operators and where its stars are.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from console.query.addresses import address_range
from console.query.conditions import Conditions, unbounded
from console.query.fault import QueryError
from console.query.fields import FIELDS, MEMBER, Kind, field_of
from console.query.members import member_given, member_sql
from console.query.patterns import details_sql, event_sql, pattern_sql
from console.query.scope import IS_READ
from console.query.tree import All, Either, Node, Not, Term
from console.search.moment import parse_moment, store_text
from schemas.alert import SEVERITIES
from schemas.canary import CANARY

MOMENT: Final = "DateTime64(6, 'UTC')"
_IS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "protected": "has(flags, 'protected')",
        "changed": "notEmpty(changed)",
        "failed": "result IN ('failure', 'denied', 'error')",
        "canary": f"has(flags, '{CANARY}')",
        "read": IS_READ,
        "replayed": "replayed = 1",
    }
)
# Values of changes are JSON; a text among them is compared without its quotes.
_UNQUOTED: Final = "if(startsWith(x, '\"'), JSONExtractString(x), x)"


def compile_query(node: Node, now_us: int) -> Conditions:
    """Translate a query; what AND joins on top becomes a clause each.

    Raises `QueryError` if the query's period is empty.
    """
    tops = node.nodes if isinstance(node, All) else (node,)
    _refuse_empty_period(tops, now_us)
    compiler = _Compiler(now_us)
    found = unbounded()
    for top in tops:
        clause = compiler.sql(top)
        found = Conditions((*found.clauses, clause), MappingProxyType(compiler.parameters))
    return found


class _Compiler:
    def __init__(self, now_us: int) -> None:
        self.parameters: dict[str, Any] = {}
        self._now_us = now_us
        self._by_kind: Mapping[Kind, Callable[[Term], str]] = {
            "text": self._text,
            "list": self._list,
            "choice": self._equal,
            "order": self._order,
            "number": self._number,
            "address": self._address,
            "moment": self._moment,
            "inside": self._inside,
            "member": lambda term: member_sql(term, self.bind),
            "is": lambda term: _IS[term.value],
            "has": self._has,
        }

    def bind(self, value: object, kind: str = "String") -> str:
        """Keep a value, and return what stands for it in the SQL."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def sql(self, node: Node) -> str:
        """Return the SQL of a node, in brackets where it needs them."""
        if isinstance(node, Term):
            return self._by_kind[field_of(node.field).kind](node)
        if isinstance(node, Not):
            return f"NOT ({self.sql(node.node)})"
        joint = " OR " if isinstance(node, Either) else " AND "
        return f"({joint.join(self.sql(inner) for inner in node.nodes)})" if node.nodes else "1"

    def _text(self, term: Term) -> str:
        return pattern_sql(FIELDS[term.field].column, term.parts, self.bind)

    def _list(self, term: Term) -> str:
        column = FIELDS[term.field].column
        if column in ("before", "after"):
            return f"arrayExists(x -> {pattern_sql(_UNQUOTED, term.parts, self.bind)}, {column})"
        if len(term.parts) == 1:
            return f"has({column}, {self.bind(term.value)})"
        if not any(term.parts):
            return f"notEmpty({column})"
        return f"arrayExists(x -> {pattern_sql('x', term.parts, self.bind)}, {column})"

    def _equal(self, term: Term) -> str:
        return f"{FIELDS[term.field].column} = {self.bind(term.value)}"

    def _order(self, term: Term) -> str:
        """Name all values of that side: there are few, and equality uses what the store knows."""
        if term.operator == ":":
            return self._equal(term)
        order: tuple[str, ...] = SEVERITIES
        low = order.index(term.value)
        sides: Mapping[str, tuple[str, ...]] = {
            "<": order[:low],
            "<=": order[: low + 1],
            ">": order[low + 1 :],
            ">=": order[low:],
            "..": order[low : order.index(term.high or order[-1]) + 1],
        }
        wanted = self.bind(list(sides[term.operator]), "Array(String)")
        return f"has({wanted}, {FIELDS[term.field].column})"

    def _number(self, term: Term) -> str:
        field = FIELDS[term.field]
        operator = {":": "=", "..": "BETWEEN"}.get(term.operator, term.operator)
        clause = f"{field.column} {operator} {self.bind(int(term.value), 'UInt64')}"
        if term.operator == "..":
            clause = f"({clause} AND {self.bind(int(term.high), 'UInt64')})"
        # 0 is how the store says that there is no such network
        return f"({field.column} != 0 AND {clause})" if term.field == "asn" else clause

    def _address(self, term: Term) -> str:
        column = FIELDS["ip"].column
        first, last = address_range(term.value)
        if first == last:
            clause = f"{column} = {self.bind(first, 'IPv6')}"
        else:
            ends = f"{self.bind(first, 'IPv6')} AND {self.bind(last, 'IPv6')}"
            clause = f"{column} BETWEEN {ends}"
        # :: is how the store says that an event has no address
        return f"({clause} AND {FIELDS['ip'].given})" if first == "::" else f"({clause})"

    def _moment(self, term: Term) -> str:
        side = ">=" if term.field == "since" else "<"
        moment = store_text(parse_moment(term.value, self._now_us, term.field))
        return f"occurred {side} {self.bind(moment, MOMENT)}"

    def _inside(self, term: Term) -> str:
        if not any(term.parts):
            return "1"
        if term.field == "details":
            return details_sql(term.parts, self.bind)
        return event_sql(term.parts, self.bind)

    def _has(self, term: Term) -> str:
        if term.value == MEMBER.name:
            return member_given(term.path, self.bind)
        return f"({FIELDS[term.value].given})"


def _refuse_empty_period(tops: tuple[Node, ...], now_us: int) -> None:
    """Tell a period that nothing lies in: both ends are there, and all must hold."""
    terms = [top for top in tops if isinstance(top, Term)]
    since = [term for term in terms if term.field == "since"]
    until = [term for term in terms if term.field == "until"]
    for low in since:
        for high in until:
            first = parse_moment(low.value, now_us, "since")
            if first >= parse_moment(high.value, now_us, "until"):
                raise QueryError(
                    low.position,
                    low.length,
                    "since is not before until",
                    "exchange them, or leave one out",
                )
