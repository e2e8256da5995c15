"""Whom to tell, when, and why not: the decision on alerts, on a clock of its own."""

from dataclasses import replace
from datetime import UTC, time

from hypothesis import given
from hypothesis import strategies as st

from consumers.alerts.grouping import Groups
from consumers.alerts.planning import EVERYONE, Placed, Plan, Planner
from consumers.alerts.quiet import QuietHours
from consumers.alerts.routing import Escalation, Match, Route, Routing
from consumers.alerts.throttle import Rate
from schemas.alert import SEVERITIES, Alert
from tests.unit.consumers.alerts.making import NOW_MS, make

MINUTE_MS = 60_000


def plan(routing: Routing, *alerts: Alert) -> Plan:
    placed = [Placed(alert, 0, number) for number, alert in enumerate(alerts)]
    return Planner(routing, Groups(3_600_000)).plan(placed, NOW_MS)


def told(found: Plan) -> list[tuple[str, int, str]]:
    return [(due.target, due.not_before_ms - NOW_MS, due.reason) for due in found.due]


def test_routes_take_by_severity_tag_tenant_and_rule_and_tell_each_target_once() -> None:
    routing = Routing(
        (
            Route("severe", ("pager", "soc"), Match(severities=frozenset({"critical", "high"}))),
            Route("tagged", ("soc", "cloud"), Match(tags=("attack.t1078*",))),
            Route("acme", ("acme",), Match(tenants=("acme",))),
            Route("exports", ("dpo",), Match(rules=("*-export",), severities=frozenset({"low"}))),
        )
    )
    one = make("a", tags=("attack.t1078.004",))
    assert [due.target for due in plan(routing, one).due] == ["pager", "soc", "cloud"]
    assert [d.target for d in plan(routing, make("b", tenant="acme", severity="info")).due] == [
        "acme"
    ]
    assert [d.target for d in plan(routing, make("c", rule_id="mass-export", severity="low")).due]
    nobody = plan(routing, make("d", rule_id="mass-export", severity="medium"))
    assert [(row.target, row.error) for row in nobody.rows] == [(EVERYONE, "unrouted")]


def test_a_repeat_is_stored_under_its_lead_and_told_to_nobody() -> None:
    first, second = make("a", group="user=jane"), make("b", group="user=jane")
    found = plan(Routing((Route("all", ("x",)),)), first, second)
    assert [one.lead_id for one in found.placed] == [first.alert_id] * 2
    assert {one.grouped_by for one in found.placed} == {"user=jane"}
    assert [due.alert.alert_id for due in found.due] == [first.alert_id]
    assert found.quiet == {"repeat": 1}


def test_a_flood_is_held_to_one_moment_and_persisted_as_deferred() -> None:
    routing = Routing((Route("all", ("x",)),), rule_rate=Rate(6, 2))
    found = plan(routing, *(make(str(n)) for n in range(50)))
    assert told(found)[:2] == [("x", 0, ""), ("x", 0, "")]
    assert set(told(found)[2:]) == {("x", 10_000, "throttled")}
    rows = found.rows[2:]
    assert {(row.outcome, row.error, row.next_ms - NOW_MS) for row in rows} == {
        ("deferred", "throttled", 10_000)
    }


def test_a_rate_of_one_target_holds_up_no_other() -> None:
    routing = Routing((Route("all", ("slow", "quick")),), target_rates={"slow": Rate(1, 1)})
    found = plan(routing, make("a"), make("b"))
    assert told(found) == [
        ("slow", 0, ""),
        ("quick", 0, ""),
        ("slow", MINUTE_MS, "throttled"),
        ("quick", 0, ""),
    ]


def test_low_severities_wait_through_quiet_hours_and_digests_for_their_time() -> None:
    # NOW is 10:00:00.250 UTC
    quiet = QuietHours(time(9), time(11), UTC)
    route = Route("all", ("x",), quiet=quiet, zone=UTC)
    hour = 60 * MINUTE_MS - 250
    assert told(plan(Routing((route,)), make("a", severity="low"))) == [("x", hour, "quiet")]
    assert told(plan(Routing((route,)), make("a"))) == [("x", 0, "")]
    digest = replace(route, quiet=None, digest="daily", digest_at=time(12))
    assert told(plan(Routing((digest,)), make("a"))) == [("x", 2 * hour + 250, "digest")]


def test_the_next_target_is_told_later_if_nobody_acknowledges() -> None:
    route = Route("all", ("x",), escalation=Escalation(15 * MINUTE_MS, ("boss",)))
    found = plan(Routing((route,)), make("a"))
    assert told(found) == [("x", 0, ""), ("boss", 15 * MINUTE_MS, "escalation")]
    assert found.due[1].lead_id == make("a").alert_id


ALERTS = st.lists(
    st.builds(
        lambda n, severity, group, kind: make(
            str(n),
            severity=severity,
            group=f"user={group}",
            suppressed_by="e" if kind == 1 else "",
            canary=kind == 2,
        ),
        st.integers(0, 10_000),
        st.sampled_from(SEVERITIES),
        st.integers(0, 5),
        st.integers(0, 8),
    ),
    unique_by=lambda alert: alert.alert_id,
    max_size=60,
)


@given(alerts=ALERTS)
def test_each_alert_has_rows_that_say_what_becomes_of_it_and_none_is_lost(
    alerts: list[Alert],
) -> None:
    routing = Routing(
        (
            Route("low", ("mail",), Match(severities=frozenset({"low", "info"})), digest="hourly"),
            Route("rest", ("chat", "mail"), Match(severities=frozenset(SEVERITIES) - {"info"})),
        ),
        rule_rate=Rate(1, 2),
    )
    found = plan(routing, *alerts)
    assert [one.alert for one in found.placed] == alerts
    assert {row.alert_id for row in found.rows} == {alert.alert_id for alert in alerts}
    due = {(one.alert.alert_id, one.target) for one in found.due}
    assert len(due) == len(found.due)
    queued = {(row.alert_id, row.target) for row in found.rows if row.outcome != "suppressed"}
    assert due == queued
