"""A WHERE as data: text from outside is always a parameter, never part of the SQL."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Query(NamedTuple):
    """SQL whose text depends only on which parameters are there, and their values."""

    sql: str
    parameters: Mapping[str, Any]


class Conditions(NamedTuple):
    """A WHERE as data: conditions to be joined by AND, and their parameters."""

    clauses: tuple[str, ...]
    parameters: Mapping[str, Any]

    def also(self, clause: str, **parameters: object) -> "Conditions":
        """Return these and one more."""
        return Conditions((*self.clauses, clause), {**self.parameters, **parameters})

    def behind(self, clause: str, **parameters: object) -> "Conditions":
        """Return these behind one that few rows meet: so it is asked first, if asked in order."""
        return Conditions((clause, *self.clauses), {**self.parameters, **parameters})

    def with_all(self, other: "Conditions") -> "Conditions":
        """Return these and all of the other, whose parameters have other names."""
        assert not self.parameters.keys() & other.parameters.keys(), "one would hide the other"
        return Conditions((*self.clauses, *other.clauses), {**self.parameters, **other.parameters})

    def where(self) -> str:
        """Return the SQL; without conditions one that always holds."""
        return " AND ".join(self.clauses) or "1"


def unbounded() -> Conditions:
    """Return the conditions that always hold."""
    return Conditions((), MappingProxyType({}))
