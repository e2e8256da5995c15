"""The tables of the store, as far as others than the store must know them.

`EVENT_COLUMNS` and `QUARANTINE_COLUMNS` are the keys that stage 1 may write into a record's line;
a column left out of a line has its default (empty, zero). schemas/migrations/ holds the DDL, and
a test holds the two to each other.
"""

from typing import Final

DATABASE: Final = "audit"
EVENTS: Final = "events"
QUARANTINE: Final = "quarantine"
BATCHES: Final = "batches"
ALERTS: Final = "alerts"
DELIVERIES: Final = "deliveries"
ALERT_CHANGES: Final = "alert_changes"
CANARY_RUNS: Final = "canary_runs"
MIGRATIONS: Final = "migrations"

COORDINATES: Final = ("incarnation", "topic", "partition", "offset")

EVENT_COLUMNS: Final = (
    # as the producer said it
    "tenant",
    "occurred",  # "2025-10-11 14:23:15.123456", UTC
    "event_id",
    "user",
    "role",
    "on_behalf_of",
    "action",
    "result",  # unknown, success, failure, denied, error
    "resource",
    "resource_id",
    "ip_address",  # canonical text of v4 or v6; the column is IPv6, absent is ::
    "user_agent",
    "session_id",
    "request_id",
    "source",
    "reason",
    "details_masked",  # the details as JSON, only if masking changed them; else read from raw
    # derived by stage 1
    "category",
    "verb",
    "changed",  # paths of the details that hold a before or an after
    "before",  # their values as JSON texts, same order; '' where there is none
    "after",
    "geo_country",  # ISO 3166 alpha-2
    "geo_asn",
    "geo_as_name",
    "client",  # family of the user agent, such as "Chrome on Windows"
    "department",
    "user_status",
    "data_class",
    "retention_class",
    "retain_until",  # "2032-10-11"
    "severity",  # info, low, medium, high, critical
    "risk_score",  # 0 to 100
    "flags",
    "rules",  # ids of the detections that fired
    "unknown_fields",  # how many top-level fields the schema doesn't know
    "versions",  # of the pipeline and its lookups: "pipeline=1 geo=... directory=... rules=..."
    # where it lies
    *COORDINATES,
    "recorded",  # "2025-10-11 14:23:15.123", the broker's append time
    "raw",  # the bytes as published
)

QUARANTINE_COLUMNS: Final = (
    "reason",  # "field:kind"
    "hint",
    "size",  # bytes of the message
    "versions",
    *COORDINATES,
    "recorded",
    "raw_base64",  # ephemeral: the store keeps the decoded bytes as `raw`
)
