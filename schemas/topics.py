"""The topics, with the settings that the promises need.

Source: docs/invariants.md 1, 2 and 5: one partition count for events and records, the broker's
own append time on what producers send, no compaction, nothing larger than the broker carries on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EVENTS: Final = "audit.events"
RECORDS: Final = "audit.records"
ALERTS: Final = "audit.alerts"

EVENT_BYTES_MAX: Final = 262_144  # 256 KiB: an event over this is quarantined, its bytes kept
EVENTS_MESSAGE_BYTES_MAX: Final = 2_097_152  # what the broker takes at all; more is refused there
RECORDS_MESSAGE_BYTES_MAX: Final = 4_194_304  # base64 of the largest message (4/3) and its frame
RETENTION_MS: Final = 7 * 24 * 3_600_000  # a week to store what was acknowledged


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be: `config` holds Kafka's own names and string values."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def topic_specs(*, partitions: int = 4, replication: int = 1) -> tuple[TopicSpec, ...]:
    """Return all topics; with `replication` ≥ 3 a write needs two replicas before its ack."""
    min_isr = str(2 if replication >= 3 else 1)  # noqa: PLR2004 - three replicas survive one loss
    durable = {
        "cleanup.policy": "delete",
        "retention.ms": str(RETENTION_MS),
        "min.insync.replicas": min_isr,
        "unclean.leader.election.enable": "false",
    }
    return (
        TopicSpec(
            EVENTS,
            partitions,
            replication,
            durable
            | {
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(EVENTS_MESSAGE_BYTES_MAX),
            },
        ),
        TopicSpec(
            RECORDS,
            partitions,
            replication,
            durable
            | {
                # the time is copied from the raw record, whatever the clock says by then
                "message.timestamp.type": "CreateTime",
                "message.timestamp.before.max.ms": "9223372036854775807",
                "message.timestamp.after.max.ms": "9223372036854775807",
                "max.message.bytes": str(RECORDS_MESSAGE_BYTES_MAX),
            },
        ),
        TopicSpec(
            ALERTS,
            partitions,
            replication,
            durable
            | {
                "message.timestamp.type": "CreateTime",
                "message.timestamp.before.max.ms": "9223372036854775807",
                "message.timestamp.after.max.ms": "9223372036854775807",
            },
        ),
    )
