"""The mark of canaries: nobody makes one without the key, nobody moves one to another event."""

from typing import Any

import pytest

from schemas.canary import (
    CANARY,
    FORGED,
    MARK,
    RULE,
    TENANT,
    event_name,
    fingerprint,
    is_run_tenant,
    judge,
    run_of,
    run_tenant,
    sign,
)
from schemas.event import Event

KEY = b"k" * 43
FIELDS = {
    "timestamp": "2025-10-11T14:23:15Z",
    "user": "jane.doe@company.com",
    "action": "authentication.login.failed",
    "tenant": TENANT,
    "event_id": event_name("abc-1f", 3),
    "details": {"method": "sso", "n": 1.5, RULE: "some-rule"},
}
SIGNED = sign(KEY, FIELDS)


def test_an_own_mark_is_a_true_one() -> None:
    assert judge(KEY, SIGNED) == CANARY
    assert judge(KEY, dict(reversed(SIGNED.items()))) == CANARY  # JSON has no order


@pytest.mark.parametrize(
    "change",
    [
        {"action": "data.export.completed"},
        {"user": "mallory"},
        {"event_id": "canary-abc-1f-4"},
        {"resource": "added"},
        {"details": {**SIGNED["details"], "method": "password"}},
        {"details": {**SIGNED["details"], RULE: "other-rule"}},
        {"details": {**SIGNED["details"], MARK: "0" * 64}},
        {"details": {**SIGNED["details"], MARK: "ü"}},
        {"details": {**SIGNED["details"], MARK: 7}},
        {"details": {**SIGNED["details"], MARK: None}},
        {"details": FIELDS["details"]},
        {"details": {}},
        {"details": None},
    ],
)
def test_any_change_makes_it_a_forged_one(change: dict[str, Any]) -> None:
    assert judge(KEY, SIGNED | change) == FORGED


def test_another_key_or_none_makes_it_a_forged_one() -> None:
    assert judge(b"other", SIGNED) == FORGED
    assert judge(b"", SIGNED) == FORGED
    assert judge(b"", sign(b"", FIELDS)) == FORGED


def test_no_event_can_name_the_tenant_of_a_run() -> None:
    tenant = run_tenant("abc-1f")
    assert is_run_tenant(tenant)
    assert tenant != run_tenant("abc-2f")
    (bound,) = (m for m in Event.model_json_schema()["properties"]["tenant"]["anyOf"][:1])
    assert len(tenant) > bound["maxLength"]
    assert not is_run_tenant(TENANT)
    assert not is_run_tenant(f"{TENANT}:x")


def test_a_run_is_read_of_its_event_ids() -> None:
    assert run_of(event_name("abc-1f", 12)) == "abc-1f"
    assert run_of("e-1") == run_of("") == ""


def test_a_fingerprint_tells_keys_apart() -> None:
    assert fingerprint(KEY) != fingerprint(b"other")
    assert fingerprint(b"") == ""
