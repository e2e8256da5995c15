"""The catalogue of actions: the eight kinds of the platform's audit log, and what each means.

An action that is not in the catalogue is accepted and filed by its first part. All functions are
pure and total, and remember their answers, of which a platform has few hundred.
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal

from schemas.actions import ACTIONS, Action, Category
from schemas.aws import aws_category
from schemas.event import Result
from schemas.verbs import infinitive, is_done

__all__ = ["ACTIONS", "Action", "Category", "action_of", "category_of", "result_of", "verb_of"]

_REMEMBERED_MAX: Final = 4096  # actions; a stranger's flood of new names only costs time

_RESULTS: Final[Mapping[str, Result]] = MappingProxyType(
    {
        **dict.fromkeys(("success", "succeeded", "successful", "completed", "ok"), "success"),
        **dict.fromkeys(("failed", "failure", "fail", "unsuccessful"), "failure"),
        **dict.fromkeys(("denied", "forbidden", "unauthorized", "refused"), "denied"),
        **dict.fromkeys(("error", "errored", "timeout"), "error"),
    }
)
# Ends that say how far it got, not what was done.
_PHASES: Final = frozenset({"requested", "started", "attempt", "attempted", "pending"})

# First parts of actions, one kind a line.
_FIRST_PARTS: Final[Mapping[Category, str]] = MappingProxyType(
    {
        "authentication": "authentication auth authn login logout signin signout session sso",
        "data_access": "data data_access record recording call transcript voicemail report file",
        "configuration": "configuration config settings setting schedule policy system routing",
        "permission": "permission role access authz authorization rbac user group team member",
        "api": "api apikey api_key rate_limit graphql rpc",
        "export": "export download backup",
        "integration": "integration webhook connector sync app plugin okta salesforce slack",
        "security": "security audit mfa threat anomaly firewall encryption violation",
    }
)
_CATEGORIES: Final[Mapping[str, Category]] = MappingProxyType(
    {part: category for category, parts in _FIRST_PARTS.items() for part in parts.split()}
)
_EXPORTING: Final = frozenset({"export", "exports", "bulk_export", "bulk_download", "dump"})


def _split(action: str) -> tuple[list[str], str]:
    """Return the parts without result or phase, and that end ("" if there is none)."""
    parts = action.split(".")
    last = parts[-1]
    if len(parts) > 1 and (last in _RESULTS or last in _PHASES):
        return parts[:-1], last
    stem, _, end = last.replace("-", "_").rpartition("_")
    if stem and (end in _RESULTS or end in _PHASES):
        return [*parts[:-1], stem], end
    return parts, ""


_BASES: Final[Mapping[str, Action]] = MappingProxyType(
    {".".join(_split(name)[0]): action for name, action in [*ACTIONS.items()][::-1]}
)


@lru_cache(maxsize=_REMEMBERED_MAX)
def action_of(action: str) -> Action | None:
    """Look an action up: itself, else the same with another result; the first listed of these."""
    return ACTIONS.get(action) or _BASES.get(".".join(_split(action)[0]))


@lru_cache(maxsize=_REMEMBERED_MAX)
def category_of(action: str) -> Category:
    """File an action: the catalogue first, then its first parts, else `other`."""
    known = action_of(action)
    if known is not None:
        return known.category
    first, _, rest = action.partition(".")
    second = rest.partition(".")[0]
    if first == "aws":
        return aws_category(second, rest.partition(".")[2])
    if first == "data" and second in _EXPORTING:
        return "export"
    return _CATEGORIES.get(first) or _CATEGORIES.get(first.removesuffix("s"), "other")


@lru_cache(maxsize=_REMEMBERED_MAX)
def verb_of(action: str) -> str:
    """Return the part that says what was done, in the infinitive where it is known."""
    parts, end = _split(action)
    if end and len(parts) > 1 and category_of(action) == "export":
        return "export"  # export.report.completed: the report is what, not what was done
    return infinitive(parts[-1])


@lru_cache(maxsize=_REMEMBERED_MAX)
def result_of(action: str) -> Result | Literal["unknown"]:
    """Read the result from the action's last part: success, completed, failed, denied.

    A deed in the past tense succeeded: settings.retention_policy.updated.
    """
    parts, end = _split(action)
    if end:
        return _RESULTS.get(end, "unknown")
    return "success" if is_done(parts[-1]) else "unknown"
