"""Repeats join a group, are counted, and page only when there is something new to say."""

import pytest

from consumers.alerts.grouping import Group, Groups, key_of
from schemas.alert import Alert
from tests.unit.consumers.alerts.making import NOW_MS, at, make

HOUR_MS = 3_600_000


def alert(name: str, after_ms: int = 0, **fields: object) -> Alert:
    return make(name, **{"group": "user=jane", "recorded": at(NOW_MS + after_ms)} | fields)


def test_a_repeat_within_the_window_joins_and_after_it_opens_a_new_group() -> None:
    groups = Groups(HOUR_MS)
    first = alert("a")
    assert groups.join(first).standing == "first"
    joined = groups.join(alert("b", HOUR_MS))
    assert (joined.lead_id, joined.standing, joined.number) == (first.alert_id, "repeat", 2)
    assert groups.join(alert("c", 2 * HOUR_MS)).standing == "repeat"  # an hour after the last
    assert groups.join(alert("d", 3 * HOUR_MS + 1)).standing == "first"


def test_a_more_severe_one_pages_once() -> None:
    groups = Groups(HOUR_MS)
    groups.join(alert("a", severity="medium"))
    assert groups.join(alert("b", severity="low")).standing == "repeat"
    assert groups.join(alert("c", severity="high")).standing == "risen"
    assert groups.join(alert("d", severity="high")).standing == "repeat"


def test_every_so_many_pages_again() -> None:
    groups = Groups(HOUR_MS, repage_every=3)
    found = [groups.join(alert(str(n))).standing for n in range(7)]
    assert found == ["first", "repeat", "again", "repeat", "repeat", "again", "repeat"]
    never = Groups(HOUR_MS, repage_every=0)
    assert {never.join(alert(str(n))).standing for n in range(200)} == {"first", "repeat"}


def test_other_tenants_rules_and_people_are_other_matters() -> None:
    groups = Groups(HOUR_MS)
    for fields in (
        {},
        {"tenant": "acme"},
        {"rule_id": "other"},
        {"group": "user=joe"},
        {"historical": True},
    ):
        assert groups.join(alert(str(fields), **fields)).standing == "first"


def test_after_a_group_was_closed_the_next_alert_pages() -> None:
    groups = Groups(HOUR_MS)
    first = alert("a")
    groups.join(first)
    groups.close(first.alert_id)
    groups.close("0" * 32)  # of another process: nothing to close
    assert groups.join(alert("b")).standing == "first"


@pytest.mark.parametrize(
    ("user", "ip_address", "grouped_by"),
    [("jane", "::1", "user=jane"), ("", "10.0.0.1", "ip_address=10.0.0.1")],
)
def test_alerts_of_single_events_are_grouped_by_who_did_it(
    user: str, ip_address: str, grouped_by: str
) -> None:
    place = "HHiSBQq0QzCA_2kkOfqu3A-audit.events-3-1024"
    one = make("x", group=place, user=user, ip_address=ip_address, severity="medium")
    assert key_of(one).grouped_by == grouped_by


def test_what_goes_on_without_end_pages_again_when_the_group_is_old() -> None:
    groups = Groups(HOUR_MS, repage_every=0, age_ms_max=2 * HOUR_MS)
    found = [groups.join(alert(str(n), n * HOUR_MS // 2)).standing for n in range(7)]
    assert found == ["first", "repeat", "repeat", "repeat", "repeat", "first", "repeat"]
    day = Groups(HOUR_MS)
    standings = [day.join(alert(str(n), n * HOUR_MS)).standing for n in range(26)]
    assert [n for n, standing in enumerate(standings) if standing == "first"] == [0, 25]


def test_group_that_the_store_says_is_old_takes_no_more() -> None:
    groups = Groups(HOUR_MS, age_ms_max=2 * HOUR_MS)
    first_ms = NOW_MS - 2 * HOUR_MS - 1
    groups.fill([(key_of(alert("a")), Group("f" * 32, 4, 9, first_ms, NOW_MS))])
    assert groups.join(alert("b")).standing == "first"


PLACE = "HHiSBQq0QzCA_2kkOfqu3A-audit.events-3-"


@pytest.mark.parametrize("severity", ["high", "critical"])
@pytest.mark.parametrize("field", ["resource", "summary"])
def test_a_second_victim_of_the_same_person_pages(severity: str, field: str) -> None:
    groups = Groups(HOUR_MS)
    standings = [
        groups.join(
            alert(str(n), 0, group=f"{PLACE}{n}", user="eve", severity=severity, **{field: said})
        )
        for n, said in enumerate(("jane", "jane", "joe"))
    ]
    assert [joined.standing for joined in standings] == ["first", "repeat", "first"]


def test_what_is_not_grave_pages_once_a_person() -> None:
    groups = Groups(HOUR_MS)
    for n, standing in enumerate(("first", "repeat")):
        one = alert(str(n), group=f"{PLACE}{n}", user="eve", severity="medium", resource=str(n))
        assert groups.join(one).standing == standing


def test_what_the_store_says_is_open_goes_on_and_what_is_known_here_stays() -> None:
    groups = Groups(HOUR_MS)
    here = alert("a")
    groups.join(here)
    other = alert("b", group="user=joe")
    groups.fill(
        [
            (key_of(here), Group("f" * 32, 4, 9, NOW_MS, NOW_MS)),
            (key_of(other), Group("e" * 32, 1, 9, NOW_MS, NOW_MS)),
        ]
    )
    assert groups.join(alert("c")).lead_id == here.alert_id
    joined = groups.join(alert("d", group="user=joe"))
    assert (joined.lead_id, joined.standing, joined.number) == ("e" * 32, "risen", 10)


def test_the_least_recent_group_goes_when_there_is_no_room() -> None:
    groups = Groups(HOUR_MS, groups_max=2)
    for name in "abc":
        groups.join(alert(name, group=name))
    assert groups.join(alert("c2", group="c")).standing == "repeat"
    assert groups.join(alert("a2", group="a")).standing == "first"
