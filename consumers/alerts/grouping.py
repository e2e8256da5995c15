"""Repeats: alerts of one rule about one thing belong together, and page once. Pure, bounded."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from consumers.alerts.schedule import moment_ms
from schemas.alert import SEVERITIES, Alert
from schemas.topics import EVENTS

WINDOW_MS: Final = 3_600_000
AGE_MS_MAX: Final = 24 * 3_600_000  # after a day, what still goes on is told again
REPAGE_EVERY: Final = 100
GROUPS_MAX: Final = 50_000  # the least recent is closed first: its next alert opens a new one
# Of these a second victim of the same person must page, though the first one did.
GRAVE: Final = frozenset({"high", "critical"})
DIGEST_CHARS: Final = 16
# What a rule on single events gives as group: the event's place, of which no other has the same.
_PLACE: Final = re.compile(rf".+-{re.escape(EVENTS)}-\d+-\d+")

Standing = Literal["first", "repeat", "risen", "again"]


class GroupKey(NamedTuple):
    """What makes two alerts the same matter."""

    tenant: str
    rule_id: str
    grouped_by: str
    historical: bool


class Joined(NamedTuple):
    """Where an alert belongs. All but a `repeat` page."""

    lead_id: str
    standing: Standing
    number: int


@dataclass(slots=True)
class Group:
    """An open group: what it began with, and how far it has come."""

    lead_id: str
    severity: int
    count: int
    first_ms: int
    last_ms: int


class Groups:
    """The open groups of one process."""

    def __init__(
        self,
        window_ms: int = WINDOW_MS,
        repage_every: int = REPAGE_EVERY,
        groups_max: int = GROUPS_MAX,
        age_ms_max: int = AGE_MS_MAX,
    ) -> None:
        self._window_ms = window_ms
        self._every = repage_every
        self._groups_max = groups_max
        self._age_ms_max = age_ms_max
        self._groups: OrderedDict[GroupKey, Group] = OrderedDict()
        self._keys: dict[str, GroupKey] = {}

    def join(self, alert: Alert) -> Joined:
        """Put an alert where it belongs: in the open group of its kind, else in a new one.

        The times compared are the broker's, so a restart that reads again decides the same.
        """
        key, at_ms, rank = (
            key_of(alert),
            moment_ms(alert.recorded),
            SEVERITIES.index(alert.severity),
        )
        group = self._groups.get(key)
        if group is None or self._is_over(group, at_ms):
            self.open(key, Group(alert.alert_id, rank, 1, at_ms, at_ms))
            return Joined(alert.alert_id, "first", 1)
        self._groups.move_to_end(key)
        group.count += 1
        group.last_ms = max(group.last_ms, at_ms)
        if rank > group.severity:
            group.severity = rank
            return Joined(group.lead_id, "risen", group.count)
        is_due = self._every > 0 and group.count % self._every == 0
        return Joined(group.lead_id, "again" if is_due else "repeat", group.count)

    def open(self, key: GroupKey, group: Group) -> None:
        """Open a group, in place of the one of that key."""
        self._forget(key)
        self._groups[key] = group
        self._keys[group.lead_id] = key
        while len(self._groups) > self._groups_max:
            self._forget(next(iter(self._groups)))

    def fill(self, found: Iterable[tuple[GroupKey, Group]]) -> None:
        """Take what the store says is open, oldest first; what is known here already stays."""
        for key, group in found:
            if key not in self._groups:
                self.open(key, group)

    def close(self, lead_id: str) -> None:
        """Close the group, as it was resolved: what comes next is a new matter, and pages."""
        key = self._keys.get(lead_id)
        if key is not None:
            self._forget(key)

    def _is_over(self, group: Group, at_ms: int) -> bool:
        is_late = at_ms > group.last_ms + self._window_ms
        return is_late or at_ms > group.first_ms + self._age_ms_max

    def _forget(self, key: GroupKey) -> None:
        group = self._groups.pop(key, None)
        if group is not None:
            self._keys.pop(group.lead_id, None)


def key_of(alert: Alert) -> GroupKey:
    """Return what the alert is grouped by: the rule's group; of single events, who did it.

    Of grave ones also to what: the resource, and what is said of it, which names the target.
    """
    group = alert.group
    if _PLACE.fullmatch(group):
        group = f"user={alert.user}" if alert.user else f"ip_address={alert.ip_address}"
        if alert.severity in GRAVE:
            said = hashlib.sha256(alert.summary.encode()).hexdigest()[:DIGEST_CHARS]
            group += f" resource={alert.resource} said={said}"
    return GroupKey(alert.tenant, alert.rule_id, group, alert.historical)
