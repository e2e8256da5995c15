"""The catalogue: every kind is there, and any action whatever is filed."""

import pytest

from schemas.alert import SEVERITIES
from schemas.catalogue import ACTIONS, Category, action_of, category_of, result_of, verb_of

KINDS = {
    "authentication", "data_access", "configuration", "permission", "api", "export",
    "integration", "security",
}  # fmt: skip


def test_catalogue_covers_the_eight_kinds_of_the_seed() -> None:
    assert {action.category for action in ACTIONS.values()} == KINDS
    assert len(ACTIONS) >= 50


@pytest.mark.parametrize(
    ("action", "category", "details"),
    [
        ("authentication.login.success", "authentication", {"method", "provider"}),
        (
            "data.export.completed",
            "export",
            {"date_range", "format", "record_count", "file_size_mb"},
        ),
        ("settings.retention_policy.updated", "configuration", {"before", "after", "reason"}),
    ],
)
def test_the_seeds_examples_are_in_the_catalogue(
    action: str, category: Category, details: set[str]
) -> None:
    assert ACTIONS[action].category == category
    assert details <= set(ACTIONS[action].details)


def test_every_entry_is_well_formed() -> None:
    types = {"string", "integer", "number", "boolean", "array", "any"}
    for name, action in ACTIONS.items():
        assert action.name == name
        assert action.severity in SEVERITIES
        assert action.title
        assert set(action.details.values()) <= types


@pytest.mark.parametrize(
    ("action", "category", "verb", "result"),
    [
        ("authentication.login.success", "authentication", "login", "success"),
        ("authentication.login_failed", "authentication", "login", "failure"),
        ("auth.signin.denied", "authentication", "login", "denied"),
        ("data.export.completed", "export", "export", "success"),
        ("data.export.started", "export", "export", "unknown"),
        ("data.bulk_export.error", "export", "export", "error"),
        ("data.contact.viewed", "data_access", "view", "success"),
        ("settings.retention_policy.updated", "configuration", "update", "success"),
        ("config.queue.modified", "configuration", "modify", "success"),
        ("roles.assigned", "permission", "assign", "success"),
        ("users.role_changed", "permission", "change", "success"),
        ("security.mfa_disabled", "security", "disable", "success"),
        ("webhook.delivery.failed", "integration", "delivery", "failure"),
        ("api.request.success", "api", "request", "success"),
        ("export.report.completed", "export", "export", "success"),
        ("weather.looked_up", "other", "looked_up", "unknown"),
        ("security.anomaly.detected", "security", "detect", "unknown"),
        ("aws.s3.get_object", "data_access", "get", "unknown"),
        ("aws.signin.console_login", "authentication", "login", "unknown"),
        ("aws.sts.assume_role", "authentication", "assume", "unknown"),
        ("aws.iam.attach_role_policy", "permission", "attach", "unknown"),
        ("aws.iam.list_users", "data_access", "list", "unknown"),
        ("aws.s3.put_bucket_policy", "permission", "put", "unknown"),
        ("aws.ec2.modify_snapshot_attribute", "permission", "modify", "unknown"),
        ("aws.cloudtrail.stop_logging", "security", "stop", "unknown"),
        ("aws.ec2.delete_flow_logs", "security", "delete", "unknown"),
        ("aws.rds.start_export_task", "export", "start", "unknown"),
        ("aws.ec2.run_instances", "configuration", "run", "unknown"),
        ("aws.ec2.shared_snapshot_volume_created", "api", "create", "success"),
        ("aws", "api", "aws", "unknown"),
        ("", "other", "", "unknown"),
        ("success", "other", "success", "unknown"),
    ],
)
def test_actions_are_filed(action: str, category: str, verb: str, result: str) -> None:
    assert (category_of(action), verb_of(action), result_of(action)) == (category, verb, result)


def test_unlisted_result_of_a_known_action_is_found_by_its_base() -> None:
    assert action_of("authentication.login.timeout") is ACTIONS["authentication.login.success"]
    assert action_of("weather.looked_up") is None
