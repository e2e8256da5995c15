"""Rules as the console shows them: what each finds, why that matters, and what is excepted."""

from pydantic import Field

from schemas.alert import Severity
from schemas.views import View


class ExceptionView(View):
    """What a rule shall not tell, who stands for that, and until when; `tenant` "" is of all."""

    name: str
    title: str
    owner: str
    reason: str
    expires: str
    tenant: str = ""
    path: str


class RuleView(View):
    """One rule that raises alerts.

    `excepts` is the rule over single events that an exception from it names: itself, or what a
    behaviour looks at; null for correlations, which are `made_of` others. `logsource` is that
    rule's. `path` is the file, below `shipped/` for those that come with the program.
    """

    rule_id: str
    title: str
    kind: str
    severity: Severity
    version: int
    risk: int
    description: str = ""
    tags: tuple[str, ...] = ()
    why: str = ""
    false_positives: tuple[str, ...] = ()
    runbook: str = ""
    path: str = ""
    excepts: str | None = None
    logsource: dict[str, str] = Field(default_factory=dict)
    made_of: tuple[str, ...] = ()
    exceptions: tuple[ExceptionView, ...] = ()


class RuleOut(RuleView):
    """A rule with what it did: when it last fired, its alerts and groups of the last 30 days.

    `suppressed` are those that an exception hid. `canary` is ok, waiting or silent; null where
    none is sent, or for who may not see that.
    """

    last_fired: str | None = None
    alerts: int = 0
    groups: int = 0
    suppressed: int = 0
    canary: str | None = None


class RuleList(View):
    """All rules that raise alerts, by name."""

    rules: tuple[RuleOut, ...]
