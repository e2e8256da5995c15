"""The routes file: read whole, or refused with the place and never with a value."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from consumers.alerts.routes_file import load_routes
from consumers.alerts.routing import Routing
from consumers.alerts.targets import Target, parse_targets
from consumers.alerts.throttle import Rate
from schemas.errors import Misconfigured
from tests.unit.consumers.alerts.making import NOW_MS, make

WHOLE = """
targets:
  soc: {url: "json://soc.example/x", throttle: {per_minute: 10, burst: 5}}
  pager: {url_file: pager.url}
  siem: {url: "webhooks://siem.example/in", secret_file: siem.secret}
routes:
  - name: severe
    match: {severity: [high, critical], tag: "attack.*", tenant: default, rule: ["r", "admin-*"]}
    to: [soc, siem]
    escalate: {after: 15m, to: pager}
    throttle: {per_minute: 0}
  - name: rest
    to: all
    digest: daily
    digest_at: 08:30
    zone: Europe/Berlin
    quiet: {from: 20:00, to: "07:00", days: [mon, tue], severity: [low]}
"""
GIVEN = parse_targets([SecretStr("mail=json://mail.example/x")])


def load(tmp_path: Path, text: str) -> tuple[tuple[Target, ...], Routing]:
    (tmp_path / "pager.url").write_text("json://pager.example/x\n")
    (tmp_path / "siem.secret").write_text("whisper\n")
    path = tmp_path / "routes.yml"
    path.write_text(text)
    return load_routes(path, GIVEN, None, (Rate(6, 30), Rate(30, 60)))


def test_a_whole_file_is_what_it_says(tmp_path: Path) -> None:
    targets, routing = load(tmp_path, WHOLE)
    assert [target.name for target in targets] == ["mail", "soc", "pager", "siem"]
    severe, rest = routing.routes
    assert severe.match.fits(make("a", tags=("attack.t1078",)))
    assert not severe.match.fits(make("a"))
    assert severe.targets == ("soc", "siem")
    assert severe.escalation is not None
    assert (severe.escalation.after_ms, severe.escalation.targets) == (900_000, ("pager",))
    assert severe.rule_rate == Rate(0, 1)
    assert routing.target_rates == {"soc": Rate(10, 5)}
    assert rest.targets == ("mail",), "all are those of AUDIT_ALERT_TARGETS"
    assert rest.quiet is not None
    assert rest.quiet.days == {0, 1}
    assert rest.quiet.begins.hour == 20, "YAML 1.1 reads 20:00 as a number"
    assert (rest.digest_at.hour, rest.digest_at.minute) == (8, 30)
    assert rest.quiet.ends_ms("high", NOW_MS) == NOW_MS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: Input should be"),
        ("routes: []", "routes: Tuple should have at least 1 item"),
        ("routes: [{name: a, to: nobody}]", "there is no target 'nobody'; there are mail"),
        ("routes: [{name: a, to: mail, tone: loud}]", "routes.0.tone: Extra inputs"),
        ("routes: [{name: a, to: mail, zone: Atlantis}]", "routes.0.zone: Value error, no such"),
        (
            "routes: [{name: a, to: mail, escalate: {after: soon, to: mail}}]",
            "routes.0.escalate.after: Value error, write a time such as",
        ),
        (
            "routes: [{name: a, to: mail, escalate: {after: 1m, to: mail}}]",
            "mail is told at once already",
        ),
        ("routes: [{name: a, to: mail, match: {severity: severe}}]", "routes.0.match.severity"),
        ("targets: {t: {}}\nroutes: [{name: a, to: t}]", "give either url or url_file"),
        ("targets: {mail: {url: 'json://h/x'}}\nroutes: [{name: a, to: mail}]", "two alert target"),
        ("targets: {t: {url: 'nosuch://hidden'}}\nroutes: [{name: a, to: t}]", "not a URL that"),
        ("targets: {t: {url_file: none}}\nroutes: [{name: a, to: t}]", "can't be read: FileNotF"),
        ("a: [", "routes.yml line 2: not YAML"),
        ("!!python/object/apply:os.system [hidden]", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"routes file .*none\.yml can't be read"):
        load_routes(tmp_path / "none.yml", GIVEN, None, (Rate(), Rate()))
