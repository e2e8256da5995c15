"""Actions of AWS, named aws.<service>.<event_name>: which of our kinds each one is."""

import re
from typing import Final, Literal

AwsCategory = Literal[
    "authentication", "data_access", "configuration", "permission", "api", "export", "security"
]

_SIGN_IN: Final = frozenset({"signin", "sts", "sso", "sso-oidc", "cognito-idp"})
_GUARDS: Final = frozenset(
    {"cloudtrail", "guardduty", "securityhub", "macie2", "inspector2", "access-analyzer", "config"}
    | {"detective", "waf", "wafv2", "shield", "kms", "network-firewall"}
)
_READS: Final = re.compile(
    r"(?:batch_)?(?:get|list|describe|head|lookup|search|view|select|query|scan|download|check"
    r"|simulate|preview|estimate|test|filter|decrypt|encrypt|generate)(?:_|$)"
)
_WRITES: Final = re.compile(
    r"(?:batch_)?(?:put|update|modify|create|delete|set|add|remove|attach|detach|associate"
    r"|disassociate|enable|disable|start|stop|run|terminate|reboot|register|deregister|replace"
    r"|reset|restore|schedule|cancel|tag|untag|authorize|revoke|allocate|release|copy|import"
    r"|invite|leave|share|send|publish|change|transfer|rotate|upload|complete|abort)(?:_|$)"
)
# Who may do what, in services other than iam: policies, ACLs, grants and sharing.
_GRANTS: Final = re.compile(
    r".*_(?:policy|acl|acls|grant|permission|permissions|access_block)$|create_grant|share_.*"
    r"|modify_(?:snapshot|image|db_snapshot|db_cluster_snapshot)_attribute"
)
_EXPORTS: Final = re.compile(r"(?:start_|create_)?(?:export|.*_export)(?:_.*)?$")
_BLINDING: Final = re.compile(r"delete_flow_logs|.*(?:logging|log_group|log_stream|trail)s?$")


def aws_category(service: str, event_name: str) -> AwsCategory:
    """Say which kind `aws.<service>.<event_name>` is; the name in snake case. Total."""
    if service in _SIGN_IN:
        return "authentication"
    if _EXPORTS.match(event_name):
        return "export"
    if _READS.match(event_name):
        return "data_access"
    if service in {"iam", "organizations"} or _GRANTS.match(event_name):
        return "permission"
    if service in _GUARDS or (service in {"ec2", "logs", "s3"} and _BLINDING.match(event_name)):
        return "security"
    return "configuration" if _WRITES.match(event_name) else "api"
