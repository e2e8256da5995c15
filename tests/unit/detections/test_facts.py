"""Facts: what the details amount to; the rules' own tests show the rest."""

from typing import Any

import pytest

from detections.facts import FACTS
from detections.rulebook import START, build


def fact(name: str, **event: Any) -> Any:
    fields, derived, _ = build(event, {}, START)
    return FACTS[name](fields, derived)


@pytest.mark.parametrize(
    ("name", "event", "value"),
    [
        ("records", {"details": {"record_count": "1,523"}}, 1523),
        ("records", {"details": {"record_count": True, "rows": 7}}, 7),
        ("records", {"details": {}}, None),
        ("size_mb", {"details": {"file_size_bytes": 2_500_000}}, 2.5),
        ("target", {"resource_id": "r", "details": {"target_user": "t"}}, "t"),
        ("target", {"resource_id": "r"}, "r"),
        ("target", {}, None),
        ("key_owner", {"user": "Bob", "details": {"owner": "bob"}}, None),
        ("key_owner", {"user": "bob", "on_behalf_of": "eve"}, "eve"),
        ("roles_given", {"details": {"before": ["a"], "after": ["a", "b"]}}, ["b"]),
        ("roles_given", {"details": {"removed": {"role": "admin"}}}, None),
        (
            "retention_shortened",
            {"action": "settings.retention.updated", "details": {"before": "2y", "after": "1y"}},
            ["2y to 1y"],
        ),
        ("switched_off", {"action": "security.mfa.disabled"}, ["disabled mfa security"]),
        ("switched_off", {"action": "security.mfa.enabled"}, None),
    ],
)
def test_fact(name: str, event: dict[str, Any], value: Any) -> None:
    assert fact(name, **event) == value


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize(
    "details",
    [None, {"before": None, "after": None}, {"a": [[{"after": {"x": [1]}, "before": {"x": 0}}]]},
     {"record_count": [], "file_size_mb": {}, "role": [None, 1], "target_user": 3}],
)  # fmt: skip
def test_fact_is_total(name: str, details: Any) -> None:
    fact(name, details=details, action="a.deleted", resource=None)
