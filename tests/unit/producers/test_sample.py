"""The sample: repeatable, in order, of all kinds, with attacks that the detections find."""

from collections import Counter
from itertools import islice, pairwise
from typing import Any

import orjson

from pipeline.run import Run
from producers.bench_events import bench_events, bench_messages
from producers.player import BACKFILL_DAYS, BACKFILL_EVENTS_PER_HOUR
from producers.sample import PAST, SLOT_MS, sample
from producers.sample_attacks import ATTACKS
from producers.sample_changes import CHANGES, changes_in
from producers.sample_people import INTRUDER_AGENT, PEOPLE, SERVICES, directory
from schemas.catalogue import ACTIONS, category_of, result_of
from schemas.event import decode
from tests.unit.pipeline.judging import Raw, make_stage

DAY_MS = 86_400_000
MONDAY_MS = 1_760_313_600_000  # 2025-10-13
SPANS = ("90 days", "180 days", "1 year", "2 years", "3 years", "5 years")


def day(seed: int = 1, start_ms: int = MONDAY_MS) -> list[dict[str, object]]:
    return list(sample(seed, start_ms, MONDAY_MS + DAY_MS, events_per_hour=300))


def test_same_seed_gives_the_same_events() -> None:
    assert day() == day()
    assert day(1) != day(2)


def test_what_comes_later_does_not_depend_on_where_it_began() -> None:
    whole, half = day(), day(start_ms=MONDAY_MS + DAY_MS // 2)
    assert half
    assert whole[-len(half) :] == half


def test_events_are_in_order_within_their_bounds_and_unique() -> None:
    events = day()
    times = [str(event["timestamp"]) for event in events]
    assert times == sorted(times)
    assert times[0] >= "2025-10-13T00:00:00.000Z"
    assert times[-1] < "2025-10-14T00:00:00.000Z"
    assert len({event["event_id"] for event in events}) == len(events)
    assert 2_000 < len(events) < 8_000


def test_every_event_is_valid_and_in_the_catalogue() -> None:
    kinds = Counter(category_of(decode(orjson.dumps(event))["action"]) for event in day())
    assert set(kinds) == {action.category for action in ACTIONS.values()}
    for event in day():
        shape = ACTIONS[str(event["action"])].details
        details = event.get("details", {})
        assert isinstance(details, dict)
        extra = set(details) - set(shape) - {"disposition", "queue", "approved_by"}
        assert not extra, (event["action"], extra)


def test_every_attack_happens() -> None:
    hostile = Counter(e["action"] for e in sample(3, MONDAY_MS, MONDAY_MS + DAY_MS)
                      if e["user_agent"] == "python-requests/2.32.5")  # fmt: skip
    assert {
        "authentication.login.failed", "settings.retention_policy.updated",
        "data.export.completed", "permission.role.granted", "security.mfa.disabled",
        "security.audit.disabled", "data.recording.played",
    } <= set(hostile)  # fmt: skip
    assert len(ATTACKS) == 7


def test_nobody_reads_protected_data_at_night_but_intruders() -> None:
    for event in day():
        if "T22:" in str(event["timestamp"]) and str(event["action"]).startswith("data.record"):
            assert event["user_agent"] == "python-requests/2.32.5"


def test_past_that_comes_in_days_late_holds_nothing_that_a_rule_finds() -> None:
    """Four alerts of backdated events, all HIGH, met whoever started it for the first time."""
    for day_of_week in (0, 3):
        now_ms = MONDAY_MS + day_of_week * DAY_MS + 11 * 3_600_000
        past = list(
            sample(
                7,
                now_ms - BACKFILL_DAYS * DAY_MS,
                now_ms,
                events_per_hour=BACKFILL_EVENTS_PER_HOUR,
                mix=PAST,
            )
        )
        raws = [Raw(at, now_ms, None, orjson.dumps(event)) for at, event in enumerate(past)]
        records = [orjson.loads(one.value) for one in make_stage()(Run("t", 0, 0, raws)).records]
        found = [(one["action"], one["user"], one["rules"]) for one in records if one.get("rules")]
        assert found == []
        failed = (
            one for one in past if result_of(str(one["action"])) not in {"success", "unknown"}
        )
        assert max(Counter(one["ip_address"] for one in failed).values(), default=0) < 15


def test_settings_and_rights_change_rarely_variously_and_mostly_with_approval() -> None:
    """Retention flipped several times a minute, with one reason; a role was granted each 20 s."""
    week = list(sample(8, MONDAY_MS, MONDAY_MS + 7 * DAY_MS, events_per_hour=60))
    by_action: dict[object, list[Any]] = {}
    for event in week:
        if event["user_agent"] != INTRUDER_AGENT:
            by_action.setdefault(event["action"], []).append(event)
    kept = by_action["settings.retention_policy.updated"]
    assert len(kept) == CHANGES["retention"].per_week == 2
    assert len({event["resource"] for event in kept}) == 2
    granted = by_action["permission.role.granted"]
    assert len(granted) == 15
    assert len({event["reason"] for event in granted}) >= 4
    assert all(event["details"]["target_user"] != event["user"] for event in granted)
    changed = [
        event
        for action, events in by_action.items()
        if str(action).startswith(("settings.", "permission.user", "permission.role"))
        for event in events
    ]
    assert len(changed) < 100
    approved = [event for event in changed if "approved_by" in event["details"]]
    assert 0.7 < len(approved) / len(changed) < 1
    assert all(event["details"]["approved_by"] != event["user"] for event in approved)


def test_retention_only_ever_grows_and_never_twice_of_the_same_data_in_a_row() -> None:
    year = [
        step
        for slot in range(MONDAY_MS // SLOT_MS, MONDAY_MS // SLOT_MS + 20 * 1_008)
        for _, role, step in changes_in(8, slot)
        if role == "compliance"
    ]
    assert len(year) == 40
    assert all(one.resource != after.resource for one, after in pairwise(year))
    assert all(
        SPANS.index(step.details["before"]) < SPANS.index(step.details["after"]) for step in year
    )


def test_endless_sample_goes_on() -> None:
    assert len(list(islice(sample(1, MONDAY_MS), 10_000))) == 10_000


def test_directory_knows_everybody() -> None:
    assert set(directory()) == {person.user for person in (*PEOPLE, *SERVICES)}


def test_bench_events_are_repeatable_valid_unique_and_of_the_size_asked_for() -> None:
    events = bench_events(5, 3_000)
    assert events == [raw for raw, _ in bench_messages(5, 3_000)]
    ids = {decode(raw)["event_id"] for raw in events}
    assert len(ids) == 3_000
    assert 950 < sum(map(len, events)) / len(events) < 1_050
    assert all(len(raw) > 3_500 for raw in bench_events(5, 10, 4_000))
