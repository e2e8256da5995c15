"""Facts: what the details amount to; the rules' own tests show the rest."""

from typing import Any

import pytest

from detections.facts import FACTS, FOUND_MAX, KEYS_MAX, NAME_MAX, _all_words_of
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


class Counted(dict[str, Any]):
    """An object that counts how many of its settings are asked for."""

    asked = 0

    def get(self, name: str, default: Any = None) -> Any:
        self.asked += 1
        return super().get(name, default)


@pytest.mark.parametrize("is_in_one", [True, False])
@pytest.mark.parametrize("name", ["switched_off", "retention_shortened"])
def test_settings_compared_are_bounded_however_many_an_event_has(
    name: str, *, is_in_one: bool
) -> None:
    sizes = [20_000] if is_in_one else [200] * 100
    pairs: list[dict[str, Any]] = [
        {"before": {f"days_{n}": True for n in range(size)},
         "after": Counted({f"days_{n}": True for n in range(size)})}
        for size in sizes
    ]  # fmt: skip
    assert fact(name, action="settings.retention.updated", details={"changes": pairs}) is None
    assert sum(pair["after"].asked for pair in pairs) in range(1, KEYS_MAX + 1)


def test_the_first_of_very_many_that_went_off_are_named() -> None:
    names = [f"mfa{n}" for n in range(20_000)]
    details = {"before": dict.fromkeys(names, True), "after": dict.fromkeys(names, False)}
    assert fact("switched_off", action="settings.updated", details=details) == names[:FOUND_MAX]


def test_names_of_any_length_are_kept_short() -> None:
    long = "mfa_" + "x" * 200_000
    kept = _all_words_of.cache_info().currsize
    for n in range(3):
        details = {"before": {f"{long}{n}": True}, "after": {f"{long}{n}": False}}
        (found,) = fact("switched_off", action="settings.updated", details={f"{long}{n}": details})
        assert len(found) <= 3 * NAME_MAX
    assert _all_words_of.cache_info().currsize <= kept + 3


class Seldom(list[str]):
    """A list that counts how often it is searched from its start."""

    searched = 0

    def __contains__(self, item: object) -> bool:
        self.searched += 1
        return super().__contains__(item)


def test_long_list_of_roles_held_before_is_not_searched_for_each_role() -> None:
    before = Seldom(f"r{n}" for n in range(10_000))
    details = {"before": before, "after": [*before[:200], "admin"]}
    assert fact("roles_given", details=details) == ["admin"]
    assert before.searched == 0


def test_role_that_an_event_names_twice_is_given_once() -> None:
    details = {"role": "admin", "before": ["agent"], "after": ["agent", "admin"]}
    assert fact("roles_given", details=details) == ["admin"]
