"""The rules that judge one event on its own, as one set."""

from detections.access import access_out_of_hours, failed_admin_login
from detections.configuration import audit_switched_off, mfa_switched_off, retention_shortened
from detections.export import RECORDS_MIN, SIZE_MB_MIN, mass_export
from detections.hours import Hours
from detections.permission import admin_role_granted, key_for_another
from detections.rule import RuleSet
from detections.security import critical_event


def builtin_rules(
    *,
    export_records_min: int = RECORDS_MIN,
    export_size_mb_min: float = SIZE_MB_MIN,
    hours: Hours | None = None,
) -> RuleSet:
    """Return all built-in rules with the given thresholds; hours default to 6 to 20 UTC."""
    return RuleSet(
        (
            failed_admin_login(),
            retention_shortened(),
            mass_export(export_records_min, export_size_mb_min),
            admin_role_granted(),
            audit_switched_off(),
            mfa_switched_off(),
            access_out_of_hours(hours or Hours()),
            key_for_another(),
            critical_event(),
        )
    )
