"""References between rules: by id, name or title; what nothing has, or several have, is refused."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from detections.sigma.faults import BadRule

REFUSED: Final = "which was refused"
"""Ends the reason of what only rests on another refused rule."""


class Names:
    """Finds rules (by index) and correlations (by rule_id); `refused` are names not to be had."""

    def __init__(
        self, known: Iterable[tuple[int | str, Mapping[str, Any]]], refused: Collection[str] = ()
    ) -> None:
        self._known: dict[str, set[int | str]] = {}
        self._titles: dict[str, set[int | str]] = {}
        self._refused = refused
        for target, described in known:
            for key in ("id", "name"):
                if described[key]:
                    self._known.setdefault(described[key].lower(), set()).add(target)
            self._titles.setdefault(described["title"].lower(), set()).add(target)

    def find(self, reference: str) -> int | str:
        """Return the index of a rule, or the rule_id of a correlation. Raises `BadRule`."""
        name = reference.lower()
        found = self._known.get(name) or self._titles.get(name) or set()
        if not found and name in self._refused:
            raise BadRule(f"refers to {reference[:80]!r}, {REFUSED}")
        if len(found) != 1:
            what = "several rules have" if found else "no rule that was loaded has"
            raise BadRule(f"{what} the id, name or title {reference[:80]!r}")
        return next(iter(found))

    def find_rule(self, reference: str) -> int:
        """Return the index of a rule over single events. Raises `BadRule`."""
        target = self.find(reference)
        if isinstance(target, str):
            raise BadRule("correlations take no exceptions: name their base rules")
        return target
