"""The table of the platform's actions: kind, severity and shape of the details of each.

A duty-call platform: people answer calls, which are recorded, routed by schedules, kept for as
long as a policy says, and handed to other systems by integrations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from schemas.alert import Severity

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
    details: Mapping[str, str]


# name | severity | title | details. One line an action, so that it reads as the table it is.
_TABLES: Final[Mapping[Category, str]] = MappingProxyType(
    {
        "authentication": """
authentication.login.success|info|Signed in|method:s provider:s mfa:b
authentication.login.failed|low|Sign-in failed|method:s cause:s attempt:i
authentication.login.denied|medium|Sign-in denied by policy|method:s policy:s cause:s
authentication.logout.success|info|Signed out|session_seconds:i
authentication.session.expired|info|Session expired|session_seconds:i idle:b
authentication.session.revoked|low|Session ended by someone else|revoked_user:s cause:s
authentication.mfa.success|info|Second factor accepted|factor:s
authentication.mfa.failed|low|Second factor refused|factor:s attempt:i
authentication.password.changed|low|Password changed|forced:b
authentication.password.reset|medium|Password reset by an administrator|target_user:s
audit.session.revoked|low|Session of the console ended by someone else|target_user:s cause:s
""",
        "data_access": """
data.record.viewed|info|Call record viewed|caller:s duration_s:i
data.record.updated|low|Call record changed|before:x after:x
data.record.deleted|medium|Call record deleted|cause:s
data.record.searched|info|Call records searched|query:s result_count:i
data.recording.played|info|Recording played|duration_s:i
data.recording.downloaded|low|Recording downloaded|format:s file_size_mb:n
data.recording.deleted|high|Recording deleted|cause:s duration_s:i
data.transcript.viewed|info|Transcript viewed|language:s
data.voicemail.played|info|Voicemail played|duration_s:i
data.incident.viewed|info|Incident viewed|severity:s
data.report.viewed|info|Report viewed|period:s
audit.events.searched|info|Audit log searched|path:s query:x rows:i kind:s
audit.events.viewed|info|Audit events viewed|path:s query:x rows:i kind:s
audit.alerts.viewed|info|Alerts viewed|path:s query:x rows:i kind:s
audit.rules.viewed|info|Detection rules viewed|path:s query:x rows:i kind:s
audit.reports.viewed|info|Audit report viewed|path:s query:x rows:i kind:s
audit.cases.viewed|info|Cases viewed|path:s query:x rows:i kind:s
audit.searches.viewed|info|Saved searches viewed|path:s query:x rows:i kind:s
audit.exports.viewed|info|Exports viewed|path:s query:x rows:i kind:s
audit.quarantine.viewed|info|Quarantine viewed|path:s query:x rows:i kind:s
audit.health.viewed|info|Health of the audit log viewed|path:s query:x rows:i kind:s
audit.people.viewed|info|Accounts of the console viewed|path:s query:x rows:i kind:s
audit.me.viewed|info|Own account of the console viewed|path:s query:x rows:i kind:s
audit.reads.viewed|info|Who read the audit log viewed|path:s query:x rows:i kind:s
audit.sql.queried|low|Audit log queried with SQL|path:s query:x rows:i kind:s
""",
        "configuration": """
settings.retention_policy.updated|medium|Retention policy changed|before:x after:x reason:s
settings.schedule.created|info|Schedule made|rotation:s members:a
settings.schedule.updated|info|Schedule changed|before:x after:x
settings.schedule.deleted|low|Schedule deleted|members:a
settings.escalation_policy.updated|low|Escalation policy changed|before:x after:x
settings.routing_rule.updated|low|Call routing changed|before:x after:x
settings.recording.updated|medium|Recording of calls changed|before:x after:x
settings.notification.updated|info|Notifications changed|before:x after:x
settings.sso.updated|high|Single sign-on changed|before:x after:x provider:s
settings.ip_allowlist.updated|medium|Allowed networks changed|before:x after:x
audit.search.saved|info|Search saved|name:s query:x before:x after:x
audit.search.deleted|info|Saved search deleted|name:s query:x
audit.exception.proposed|low|Exception from a rule proposed|rule:s
audit.quarantine.replayed|low|Quarantined messages judged again|path:s query:x rows:i kind:s
""",
        "permission": """
permission.role.granted|medium|Role granted|target_user:s role:s before:x after:x
permission.role.revoked|low|Role revoked|target_user:s role:s before:x after:x
permission.role.created|low|Role made|role:s permissions:a
permission.role.updated|medium|Role changed|role:s before:x after:x
permission.role.deleted|medium|Role deleted|role:s
permission.user.created|low|User made|target_user:s role:s
permission.user.deactivated|low|User deactivated|target_user:s cause:s
permission.user.deleted|medium|User deleted|target_user:s
permission.team.updated|info|Team membership changed|team:s before:x after:x
permission.access.denied|low|Access denied|permission:s
audit.access.denied|low|Access to the audit log denied|method:s path:s query:x kind:s
audit.account.created|medium|Account of the console made|target_user:s roles:a
audit.account.updated|medium|Account of the console changed|target_user:s before:x after:x
audit.account.disabled|low|Account of the console disabled|target_user:s
audit.token.created|medium|API token of the console made|token_id:s scope:a expires_at:s
audit.token.revoked|low|API token of the console revoked|token_id:s target_user:s
""",
        "api": """
api.request.success|info|API called|method:s path:s status:i duration_ms:i
api.request.failed|low|API call failed|method:s path:s status:i duration_ms:i
api.request.denied|low|API call denied|method:s path:s status:i
api.rate_limit.exceeded|low|Rate limit hit|limit_per_minute:i
api.key.created|medium|API key made|key_id:s scopes:a expires_at:s
api.key.rotated|low|API key rotated|key_id:s
api.key.revoked|low|API key revoked|key_id:s cause:s
""",
        "export": """
data.export.requested|low|Export asked for|date_range:s format:s
data.export.completed|medium|Export completed|format:s record_count:i file_size_mb:n date_range:s
data.export.failed|low|Export failed|date_range:s format:s cause:s
data.export.downloaded|medium|Export downloaded|format:s file_size_mb:n
export.report.completed|low|Report exported|format:s record_count:i file_size_mb:n date_range:s
export.audit_log.completed|medium|Audit log exported|date_range:s format:s record_count:i
export.schedule.completed|info|Schedule exported|format:s
audit.events.exported|medium|Audit events exported|path:s query:x rows:i kind:s
audit.export.started|low|Export of audit events started|format:s query:s
audit.export.completed|medium|Export of audit events completed|format:s record_count:i
audit.export.failed|low|Export of audit events failed|format:s cause:s
audit.export.cancelled|low|Export of audit events cancelled|format:s record_count:i
""",
        "integration": """
integration.okta.connected|medium|Okta connected|scopes:a
integration.okta.synced|info|Users taken over from Okta|added:i removed:i
integration.salesforce.connected|medium|Salesforce connected|scopes:a
integration.salesforce.synced|info|Records sent to Salesforce|record_count:i
integration.slack.connected|low|Slack connected|workspace:s scopes:a
integration.app.disconnected|low|Integration removed|app:s
integration.webhook.created|medium|Webhook made|url:s events:a
integration.webhook.updated|medium|Webhook changed|before:x after:x
integration.webhook.deleted|low|Webhook deleted|url:s
integration.webhook.failed|low|Webhook not delivered|url:s status:i attempt:i
""",
        "security": """
security.mfa.disabled|high|Second factor switched off|target_user:s scope:s before:x after:x
security.mfa.enabled|info|Second factor switched on|target_user:s scope:s
security.audit.disabled|critical|Audit logging switched off|scope:s before:x after:x
security.audit.updated|high|Audit settings changed|before:x after:x
security.policy.violated|medium|Policy violated|policy:s
security.anomaly.detected|medium|Anomaly seen|score:n kind:s
security.ip.blocked|low|Address blocked|cause:s
security.account.locked|medium|Account locked|target_user:s attempts:i
security.encryption_key.rotated|low|Encryption key rotated|key_id:s
security.recording.tampered|critical|Recording's checksum is wrong|expected:s found:s
audit.case.created|low|Case opened|title:s
audit.case.updated|info|Case changed|before:x after:x note:s
""",
    }
)


_TYPES: Final = {
    "s": "string",
    "i": "integer",
    "n": "number",
    "b": "boolean",
    "a": "array",
    "x": "any",
}


def _read(category: Category, table: str) -> dict[str, Action]:
    found = {}
    for line in table.strip().splitlines():
        name, severity, title, details = line.split("|")
        pairs = (pair.split(":") for pair in details.split())
        shape = {key: _TYPES[letter] for key, letter in pairs}
        # the table's severities are those of Severity; a test holds it to that
        found[name] = Action(name, category, severity, title, MappingProxyType(shape))  # type: ignore[arg-type]
    return found


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        name: action
        for category, table in _TABLES.items()
        for name, action in _read(category, table).items()
    }
)
