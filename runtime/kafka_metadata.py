"""Metadata requests that carry topic ids: version 12, which aiokafka 0.14 does not speak yet.

Source: Kafka's message definitions MetadataRequest.json and MetadataResponse.json, version 12.
"""

import base64
from io import BytesIO

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ID_BYTES = 16
NO_ID = "A" * 22  # sixteen zero bytes: the broker knows no such topic


class Uuid(AbstractType[str]):  # type: ignore[misc]  # aiokafka is untyped to mypy here
    """Sixteen bytes on the wire, in code as Kafka's own tools print them: URL-safe base64."""

    @classmethod
    def encode(cls, value: str) -> bytes:
        """Return the sixteen bytes."""
        return base64.urlsafe_b64decode(value + "==")

    @classmethod
    def decode(cls, data: BytesIO) -> str:
        """Read sixteen bytes. Raises `ValueError` when there are fewer."""
        raw = data.read(16)
        if len(raw) != ID_BYTES:
            raise ValueError("buffer underrun decoding a uuid")
        return base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


class MetadataResponse_v12(Response):  # type: ignore[misc]  # noqa: N801 - as aiokafka names them
    """What the broker answers."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequest_v12(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as above
    """What we ask."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 12
    RESPONSE_TYPE = MetadataResponse_v12
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdRequest(Request[MetadataRequest_v12]):  # type: ignore[misc]
    """Ask for the named topics, creating none."""

    API_KEY = 3

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[MetadataRequest_v12]) -> MetadataRequest_v12:
        """Return the request for the wire."""
        topics: list[tuple[str, str, dict[int, bytes]]] = [
            (NO_ID, name, {}) for name in self._names
        ]
        return request_struct_class(topics, False, False, {})  # noqa: FBT003 - a wire struct
