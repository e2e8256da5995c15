"""States of groups: staged a run at a time, bounded, the noisiest rule loses first."""

from pipeline.groups import Groups


def key(rule: str, group: str) -> bytes:
    return f"{rule}\x1f1\x1fdefault\x1f{group}".encode()


def filled(groups_max: int, **counts: int) -> Groups:
    groups = Groups(groups_max)
    for rule, count in counts.items():
        for number in range(count):
            groups.load(key(rule, str(number)), b"s")
    return groups


def test_run_sees_what_it_changed_and_others_only_after_it_settled() -> None:
    groups = Groups(10)
    groups.put(key("a", "x"), b"1")
    assert groups.get(key("a", "x")) == b"1"
    assert len(groups) == 0
    groups.settle()
    assert len(groups) == 1
    assert not groups.changes
    assert list(groups.items()) == [(key("a", "x"), b"1")]


def test_run_that_failed_leaves_no_trace() -> None:
    groups = filled(10, a=2)
    groups.put(key("a", "0"), b"other")
    groups.put(key("a", "1"), None)
    groups.put(key("a", "new"), b"s")
    groups.drop()
    assert groups.get(key("a", "0")) == b"s"
    assert groups.get(key("a", "1")) == b"s"
    assert groups.get(key("a", "new")) is None


def test_end_of_a_group_is_written_only_if_anybody_knew_of_it() -> None:
    groups = filled(10, a=1)
    groups.put(key("a", "0"), None)
    groups.put(key("a", "short"), b"s")
    groups.put(key("a", "short"), None)
    assert dict(groups.changes) == {key("a", "0"): None}
    groups.settle()
    assert len(groups) == 0


def test_journal_that_repeats_a_group_has_it_once_with_the_last_word() -> None:
    groups = filled(10, a=2)
    groups.load(key("a", "0"), b"later")
    groups.load(key("a", "1"), None)
    groups.load(key("a", "never seen"), None)
    assert dict(groups.items()) == {key("a", "0"): b"later"}
    assert len(groups) == 1


def test_rule_with_the_most_groups_loses_those_not_touched_for_longest() -> None:
    groups = filled(100, quiet=20, noisy=80)
    groups.put(key("noisy", "0"), b"touched again")
    groups.settle()
    for number in range(5):
        groups.put(key("quiet", f"new{number}"), b"s")
    lost = groups.shed()
    groups.settle()
    assert lost == {b"noisy": 7}  # five too many, and a hundredth of all in stock
    assert len(groups) == 98
    assert groups.get(key("noisy", "0")) == b"touched again"
    gone = [n for n in range(80) if groups.get(key("noisy", str(n))) is None]
    assert gone == [1, 2, 3, 4, 5, 6, 7]


def test_flood_within_one_run_is_bounded_too() -> None:
    groups = filled(100, quiet=10)
    for number in range(1_000):
        groups.put(key("flood", str(number)), b"s")
    assert groups.shed().total() >= 910
    groups.settle()
    assert len(groups) <= 100
    assert all(groups.get(key("quiet", str(n))) for n in range(10))
    assert groups.get(key("flood", "999")) == b"s"


def test_rules_of_one_size_share_the_loss() -> None:
    groups = filled(100, a=60, b=60)
    lost = groups.shed()
    groups.settle()
    assert lost.total() == 22
    assert abs(lost[b"a"] - lost[b"b"]) <= 2


def test_nothing_is_lost_while_there_is_room() -> None:
    groups = filled(100, a=100)
    groups.put(key("a", "0"), b"again")
    assert not groups.shed()


def test_sweep_goes_once_over_everything_in_slices() -> None:
    groups = filled(100, a=5, b=5)
    assert groups.sweep(10) == []
    groups.begin_sweep()
    groups.put(key("a", "0"), b"staged")  # a run has it in hand: the next pass sees it
    groups.load(key("a", "1"), None)
    found = groups.sweep(3) + groups.sweep(100)
    assert sorted(k for k, _ in found) == sorted(
        [key("a", str(n)) for n in range(2, 5)] + [key("b", str(n)) for n in range(5)]
    )
    assert groups.sweep(3) == []
