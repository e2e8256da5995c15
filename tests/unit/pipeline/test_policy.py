import pytest

from pipeline.lookups import default_policy
from pipeline.policy import BYTES_MAX, Kept, parse_policy
from schemas.errors import Misconfigured

DEFAULT = default_policy()


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("data.export.completed", "voice_call_records", Kept("phi", "hipaa", 6, is_protected=True)),
        (
            "settings.retention_policy.updated",
            "voice_recordings",
            Kept("phi", "hipaa", 6, is_protected=True),
        ),
        ("data.transcript.viewed", "", Kept("phi", "hipaa", 6, is_protected=True)),
        ("api.request.success", "PATIENT/7", Kept("phi", "hipaa", 6, is_protected=True)),
        ("api.request.success", "invoices", Kept("financial", "sox", 7, is_protected=False)),
        ("data.report.viewed", "customers", Kept("pii", "security", 2, is_protected=True)),
        ("authentication.login.success", "", Kept("identity", "security", 2, is_protected=False)),
        ("security.mfa.disabled", "", Kept("security", "security", 2, is_protected=False)),
        ("api.request.success", "", Kept("internal", "standard", 1, is_protected=False)),
    ],
)
def test_the_shipped_policy_files_what_the_platform_has(
    action: str, resource: str, expected: Kept
) -> None:
    assert DEFAULT.classify(action, resource) == expected


SMALL = b"""
retention_years: {a: 1, b: 100}
default: {data_class: x, retention: a}
rules:
  - {resource: "r*", action: "*.b", data_class: first, retention: b}
  - {resource: "r*", data_class: second, retention: a}
"""


def test_the_first_rule_of_which_all_globs_match_counts() -> None:
    policy = parse_policy("p.yml", SMALL)
    assert policy.classify("a.b", "R1").data_class == "first"
    assert policy.classify("a.c", "r1").data_class == "second"
    assert policy.classify("a.b", "xr").data_class == "x"


def test_the_version_follows_the_content() -> None:
    other = parse_policy("p.yml", SMALL.replace(b"100", b"99"))
    assert other.version != parse_policy("p.yml", SMALL).version
    assert parse_policy("q.yml", SMALL).version == parse_policy("p.yml", SMALL).version


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"{", "no YAML"),
        (b"\xff", "no YAML"),
        (b"[]", "file"),
        (b"", "file"),
        (SMALL.replace(b"retention: b", b"retention: c"), "retention_years"),
        (SMALL.replace(b"100", b"0"), "retention_years.b"),
        (SMALL.replace(b"100", b"101"), "retention_years.b"),
        (SMALL.replace(b"resource:", b"resourse:"), "rules.0.resourse"),
        (b" " * (BYTES_MAX + 1), "over"),
    ],
)
def test_a_wrong_file_is_refused_by_name(content: bytes, names: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_policy("p.yml", content)
    assert "p.yml" in str(caught.value)
    assert names in str(caught.value)


def test_a_policy_without_emergencies_knows_none() -> None:
    policy = parse_policy("p.yml", SMALL)
    assert not policy.is_emergency_user("break-glass")
    assert not policy.is_emergency_role("firecall")


def test_emergencies_are_globs_over_the_whole_name() -> None:
    policy = parse_policy("p.yml", SMALL + b"emergency: {users: [fire*], roles: ['*-on-call']}")
    assert policy.is_emergency_user("FIRE-1")
    assert not policy.is_emergency_user("ceasefire")
    assert policy.is_emergency_role("admin-on-call")
    assert not policy.is_emergency_role("on-call")
