"""The topics, with the settings that the promises need.

Source: docs/invariants.md 1, 2 and 5: one partition count for events and records, the broker's
own append time on what producers send, no compaction, nothing larger than the broker carries on.
audit.state alone is compacted: only the last word on each group counts (ADR 0008).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

EVENTS: Final = "audit.events"
RECORDS: Final = "audit.records"
ALERTS: Final = "audit.alerts"
SIGNALS: Final = "audit.signals"  # what stateful rules need of the events, by rule and group
STATE: Final = "audit.state"  # the journal of stage 2: partition by partition that of the signals

EVENT_BYTES_MAX: Final = 262_144  # 256 KiB: an event over this is quarantined, its bytes kept
EVENTS_MESSAGE_BYTES_MAX: Final = 2_097_152  # what the broker takes at all; more is refused there
RECORDS_MESSAGE_BYTES_MAX: Final = 4_194_304  # base64 of the largest message (4/3) and its frame
RETENTION_MS: Final = 7 * 24 * 3_600_000  # a week to store what was acknowledged
SIGNALS_RETENTION_MS: Final = 3 * 24 * 3_600_000  # a long weekend in which stage 2 stood still
SIGNALS_SEGMENT_MS: Final = 6 * 3_600_000  # a segment lives until all of it is old
STATE_MESSAGE_BYTES_MAX: Final = 2_097_152  # one group's state; stage 2 lets none grow past half
STATE_SEGMENT_BYTES: Final = 67_108_864  # the newest is never compacted, and is read at takeover
STATE_SEGMENT_MS: Final = 3_600_000
TOMBSTONE_MS: Final = 3_600_000  # longer than a takeover reads: none misses a deletion


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
        *_stage_1_topics(partitions, replication, durable),
        *_stage_2_topics(partitions, replication, durable),
    )


def _stage_1_topics(
    partitions: int, replication: int, durable: dict[str, str]
) -> tuple[TopicSpec, ...]:
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


def _stage_2_topics(
    partitions: int, replication: int, durable: dict[str, str]
) -> tuple[TopicSpec, ...]:
    return (
        TopicSpec(
            SIGNALS,
            partitions,
            replication,
            durable
            | {
                "retention.ms": str(SIGNALS_RETENTION_MS),
                "segment.ms": str(SIGNALS_SEGMENT_MS),
                # by the broker's clock: signals of old events must live as long as any
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(EVENTS_MESSAGE_BYTES_MAX),
            },
        ),
        TopicSpec(
            STATE,
            partitions,
            replication,
            {
                "cleanup.policy": "compact",
                # a takeover reads at most this much of what is no longer true
                "min.cleanable.dirty.ratio": "0.2",
                "delete.retention.ms": str(TOMBSTONE_MS),
                "segment.bytes": str(STATE_SEGMENT_BYTES),
                "segment.ms": str(STATE_SEGMENT_MS),
                "message.timestamp.type": "LogAppendTime",
                "max.message.bytes": str(STATE_MESSAGE_BYTES_MAX),
                "min.insync.replicas": durable["min.insync.replicas"],
                "unclean.leader.election.enable": "false",
            },
        ),
    )
