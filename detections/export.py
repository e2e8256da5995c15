"""Rules on data that leaves: exports and downloads in bulk.

Source: MITRE ATT&CK T1530, T1567. Blind spot: many small exports one after the other.
"""

from typing import Any, Final

from detections.rule import Derived, Fields, Rule
from detections.words import number_of

RECORDS_MIN: Final = 1_000  # the seed's own example of an export has 1,523
SIZE_MB_MIN: Final = 100.0
SIZE_MB_SHOWN_MIN: Final = 0.05  # less would be spelled 0.0

_COUNTS: Final = ("record_count", "records", "row_count", "rows", "count")
_SIZES: Final = frozenset({*_COUNTS, "file_size_mb", "file_size_bytes"})
_FAILED: Final = frozenset({"failure", "denied", "error"})


def mass_export(records_min: int = RECORDS_MIN, size_mb_min: float = SIZE_MB_MIN) -> Rule:
    """Build the rule; it fires from either threshold on, if the details tell a size at all."""

    def examine(fields: Fields, derived: Derived) -> str:
        details = fields.get("details")
        if not details or derived.result in _FAILED or _SIZES.isdisjoint(details):
            return ""
        count = _first_number(details, _COUNTS)
        size_mb = _size_mb(details)
        if count < records_min and size_mb < size_mb_min:
            return ""
        what = fields.get("resource") or "data"
        much = _spell_size(count, size_mb)
        return f"{fields['user']} exported {much} of {what}."

    return Rule(
        id="mass-export",
        version=1,
        title="Mass export",
        why="Data in bulk outside the platform is out of its control.",
        severity="high",
        risk=30,
        tags=("attack.exfiltration", "attack.t1567", "attack.collection", "attack.t1530"),
        false_positives=("A scheduled report or a migration; a data subject's request.",),
        runbook="What else did the session do: audit search --session {session_id}\n"
        "Exports of this user: audit search --user {user} --action 'data.export.*' --since 30d\n"
        "If nobody asked for it: revoke the download, end the session, tell the data owner.",
        concerns=lambda _action, category: category in ("export", "data_access"),
        examine=examine,
        parameters=f"records_min={records_min} size_mb_min={size_mb_min}",
    )


def _spell_size(count: float, size_mb: float) -> str:
    size = f"{size_mb:,.1f} MB" if size_mb >= SIZE_MB_SHOWN_MIN else ""
    if not count:
        return size
    return f"{count:,.0f} records ({size})" if size else f"{count:,.0f} records"


def _first_number(details: dict[str, Any], names: tuple[str, ...]) -> float:
    found = (number_of(details[name]) for name in names if name in details)
    return next((number for number in found if number is not None), 0.0)


def _size_mb(details: dict[str, Any]) -> float:
    if (size_mb := number_of(details.get("file_size_mb"))) is not None:
        return size_mb
    return (number_of(details.get("file_size_bytes")) or 0.0) / 1_000_000
