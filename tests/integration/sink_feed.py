"""Valid records for the sink's tests: made as stage 1 makes them, without the pipeline."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from aiokafka import AIOKafkaProducer

from schemas.record import ACCEPTED, COVERAGE_HEADER, REJECTED, encode_coverage

RECORDED_MS = 1_760_000_000_000  # 2025-10-09


@dataclass(frozen=True)
class Feed:
    """One raw topic's records: every `reject_every`-th raw message is one to quarantine."""

    incarnation: str
    topic: str
    reject_every: int = 7
    recorded_ms: int = RECORDED_MS
    step_ms: int = 10
    gaps: Mapping[int, int] = field(default_factory=dict)  # origin → offsets missing before it

    def record(
        self, partition: int, origin: int
    ) -> tuple[int, bytes, bytes, list[tuple[str, bytes]]]:
        """Timestamp, key, value and headers of the record of one raw offset."""
        recorded = self.recorded_ms + origin * self.step_ms
        is_bad = self.reject_every > 0 and origin % self.reject_every == self.reject_every - 1
        place = {
            "incarnation": self.incarnation,
            "topic": self.topic,
            "partition": partition,
            "offset": origin,
            "recorded": f"{recorded // 1000}.{recorded % 1000:03}",
        }
        coverage = encode_coverage(
            REJECTED if is_bad else ACCEPTED,
            self.incarnation,
            origin - self.gaps.get(origin, 0),
            origin,
        )
        line = _rejected(origin) if is_bad else _accepted(partition, origin)
        headers = [(COVERAGE_HEADER, coverage)]
        return recorded, b"key", orjson.dumps({**line, **place}), headers


def _accepted(partition: int, origin: int) -> dict[str, object]:
    return {
        "tenant": "default",
        "occurred": f"2025-10-09 08:{origin // 60 % 60:02}:{origin % 60:02}.123456",
        "event_id": f"e-{partition}-{origin}",
        "user": f"user{origin % 50}@company.com",
        "action": "authentication.login.success",
        "result": "success",
        "ip_address": f"203.0.113.{origin % 256}",
        "category": "authentication",
        "flags": ["late"] if origin % 10 == 0 else [],
        "raw": json.dumps({"details": {"n": origin}, "text": "x" * 200}),
    }


def _rejected(origin: int) -> dict[str, object]:
    raw = b"\xff\x00%d" % origin
    return {
        "reason": "message:not_json",
        "hint": "publish JSON",
        "size": len(raw),
        "raw_base64": base64.b64encode(raw).decode(),
    }


async def send(
    bootstrap: str, topic: str, feed: Feed, partition: int, origins: range | list[int]
) -> None:
    """Write the records of these raw offsets, in this order, to one partition."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    await producer.start()
    try:
        sent = []
        for origin in origins:
            timestamp, key, value, headers = feed.record(partition, origin)
            sent.append(
                await producer.send(
                    topic,
                    value,
                    key=key,
                    partition=partition,
                    timestamp_ms=timestamp,
                    headers=headers,
                )
            )
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
