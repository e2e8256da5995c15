"""Alerts of one user that came within an hour, as one row of the queue: each story is one."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from console.search.moment import parse_moment
from schemas.alert import SEVERITIES

HOUR_US: Final = 3_600_000_000
NAMED_MAX: Final = 3  # titles of those beneath; the link has them all

Shown = Mapping[str, Any]


class Folded(NamedTuple):
    """The alert that a row shows, and those of the same user that stand beneath it."""

    alert: Shown
    more: Sequence[Shown]

    @property
    def titles(self) -> Sequence[str]:
        """Return what those beneath are called, each once."""
        return list(dict.fromkeys(one["title"] for one in self.more))[:NAMED_MAX]


def folded(alerts: Sequence[Shown]) -> list[Folded]:
    """Fold alerts, the worst first, under the gravest of their user within the hour.

    Of equally grave ones that stands above which found an event itself, not which counted others.
    """
    stories: list[list[Shown]] = []
    for one in alerts:
        story = next((known for known in stories if _is_same(known[0], one)), None)
        if story is None:
            stories.append([one])
        else:
            story.append(one)
    return [_led(story) for story in stories]


def is_own_event(alert: Shown) -> bool:
    """Say whether the group of an alert is nothing but the place of its one event."""
    return "=" not in alert["group"]


def _led(story: Sequence[Shown]) -> Folded:
    lead = max(story, key=lambda one: (SEVERITIES.index(one["severity"]), is_own_event(one)))
    return Folded(lead, [one for one in story if one is not lead])


def _is_same(first: Shown, other: Shown) -> bool:
    is_of_one = bool(first["user"]) and all(
        first[name] == other[name] for name in ("user", "tenant", "status", "historical")
    )
    return is_of_one and abs(_came_us(first) - _came_us(other)) <= HOUR_US


def _came_us(alert: Shown) -> int:
    return parse_moment(alert["recorded"], 0, "recorded")
