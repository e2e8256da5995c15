"""The page of rules: what each finds and why, when it last fired, and what is excepted."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, model_validator

from console.health.rules import STATS_DAYS, rules_shown
from console.pages.page import Page, Table, page
from console.search.lookups import Text
from console.web.context import Asked, saw
from schemas.alert import SEVERITIES, Severity

routes: Final = APIRouter()
COLUMNS: Final = (
    "rule_id",
    "title",
    "kind",
    "severity",
    "risk",
    "last_fired",
    "alerts",
    "groups",
    "suppressed",
    "canary",
    "exceptions",
    "tags",
    "path",
)


class RulesAsked(BaseModel):
    """Which rules to show; `rule` is the whole name of one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Text | None = None
    severity: Severity | None = None
    tag: Text | None = None
    text: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def leave_out_what_is_empty(cls, given: dict[str, object]) -> dict[str, object]:
        """Drop what a form sends of fields that were not filled in."""
        return {name: value for name, value in given.items() if value != ""}


@page(routes, "/rules", "read_alerts")
async def show_rules(api: Asked, asked: Annotated[RulesAsked, Query()]) -> Page:
    """Show the rules that raise alerts."""
    known = await rules_shown(api)
    rules = [
        rule
        for rule in known
        if asked.rule in (None, rule["rule_id"])
        and asked.severity in (None, rule["severity"])
        and (asked.tag is None or any(asked.tag.lower() in tag for tag in rule["tags"]))
        and (
            asked.text is None
            or asked.text.lower() in f"{rule['rule_id']} {rule['title']}\n{rule['why']}".lower()
        )
    ]
    await saw(api, "/rules", asked.model_dump(exclude_none=True), len(rules))
    rows = (
        [len(rule[name]) if name == "exceptions" else _cell(rule[name]) for name in COLUMNS]
        for rule in rules
    )
    return Page(
        "rules.html",
        "Rules",
        {"rules": rules, "known": len(known)},
        Table(COLUMNS, rows),
        {"asked": asked, "severities": list(reversed(SEVERITIES)), "days": STATS_DAYS},
    )


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, list) else value
