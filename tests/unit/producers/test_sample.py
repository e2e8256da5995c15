"""The sample: repeatable, in order, of all kinds, with attacks that the detections find."""

from collections import Counter
from itertools import islice

import orjson

from producers.bench_events import bench_events, bench_messages
from producers.sample import sample
from producers.sample_attacks import ATTACKS
from producers.sample_people import PEOPLE, SERVICES, directory
from schemas.catalogue import ACTIONS, category_of
from schemas.event import decode

DAY_MS = 86_400_000
MONDAY_MS = 1_760_313_600_000  # 2025-10-13


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
        extra = set(details) - set(shape) - {"disposition", "queue"}
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
