"""Rules as the console sees them: of all kinds, with their exceptions, read again when changed."""

from pathlib import Path

from cli.rule_views import RuleShelf

RULE = """\
title: Login
id: 0833239b-e81d-5778-a2ce-426e794c93b3
name: login-of-ours
logsource: {{product: dutycall, category: authentication}}
detection:
  selection: {{action: authentication.login.success}}
  condition: selection
level: {level}
falsepositives: [A drill.]
"""
EXCEPTION = """\
title: Not the drill
id: 5f0c2e52-6b1e-4a39-9f0e-7f6ad0a9c001
logsource: {product: dutycall, category: authentication}
detection:
  selection: {user: drill}
  condition: selection
exception:
  {rules: [login-of-ours], owner: ann, reason: a drill, expires: "2099-01-01", tenant: acme}
"""


def test_rules_that_ship_are_there_in_three_kinds() -> None:
    views = {rule.rule_id: rule for rule in RuleShelf(())()}
    event, behaviour = views["admin-role-granted"], views["dormant-account-wakes"]
    correlation = views["audit-tampering"]
    assert (event.kind, event.excepts) == ("event", "admin-role-granted")
    assert event.why
    assert event.runbook
    assert event.logsource["product"] == "dutycall"
    assert behaviour.excepts
    assert behaviour.made_of == ()
    assert correlation.excepts is None
    assert correlation.made_of


def test_a_folder_is_read_again_when_it_changes_and_not_otherwise(tmp_path: Path) -> None:
    (tmp_path / "r.yml").write_text(RULE.format(level="low"))
    shelf = RuleShelf([tmp_path])
    before = shelf()
    assert shelf() is before
    (rule,) = (rule for rule in before if rule.rule_id == "login-of-ours")
    assert (rule.severity, rule.false_positives, rule.exceptions) == ("low", ("A drill.",), ())
    (tmp_path / "r.yml").write_text(RULE.format(level="critical"))
    (tmp_path / "exceptions").mkdir()
    (tmp_path / "exceptions" / "e.yml").write_text(EXCEPTION)
    (rule,) = (rule for rule in shelf() if rule.rule_id == "login-of-ours")
    assert rule.severity == "critical"
    (one,) = rule.exceptions
    assert (one.owner, one.expires, one.tenant) == ("ann", "2099-01-01", "acme")


def test_where_rules_are_switched_off_there_are_none() -> None:
    assert RuleShelf((), is_on=False)() == ()
