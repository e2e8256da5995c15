"""The catalogue of actions: the eight kinds of the platform's audit log, and what each means.

An action that is not in the catalogue is accepted and filed by its first part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from schemas.alert import Severity
from schemas.event import Result

Category = Literal[
    "authentication",
    "data_access",
    "configuration",
    "permission",
    "api",
    "export",
    "integration",
    "security",
    "other",
]


@dataclass(frozen=True, slots=True)
class Action:
    """What is known of one action; `details` maps each key that producers send to its JSON type."""

    name: str
    category: Category
    severity: Severity
    title: str
    details: Mapping[str, str] = MappingProxyType({})


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType({})  # filled below by the catalogue


def category_of(action: str) -> Category:
    """File an action: the catalogue first, then its first parts, else `other`."""
    raise NotImplementedError


def verb_of(action: str) -> str:
    """Return the part that says what was done, in the infinitive where it is known."""
    raise NotImplementedError


def result_of(action: str) -> Result | Literal["unknown"]:
    """Read the result from the action's last part: success, completed, failed, denied."""
    raise NotImplementedError
