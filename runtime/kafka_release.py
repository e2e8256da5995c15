"""Which release of Kafka a broker is: what its supported `metadata.version` gives away.

Source: Kafka's message definitions ApiVersionsRequest.json and ApiVersionsResponse.json, version 3,
and `StorageTool version-mapping` of Kafka 4.3. Blind spot: other makes of broker may tell nothing.
"""

from io import BytesIO
from typing import Any, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from runtime.topics import ClientOptions, translated

TIMEOUT_MS: Final = 5_000
FEATURE: Final = "metadata.version"
LEVEL_4_0_MIN: Final = 22  # 3.9 ends at 21
# The highest level of each release; levels only grow.
RELEASES: Final = (
    (7, "3.3"), (8, "3.4"), (11, "3.5"), (14, "3.6"), (19, "3.7"), (20, "3.8"), (21, "3.9"),
    (25, "4.0"), (27, "4.1"), (29, "4.2"), (30, "4.3"),
)  # fmt: skip
_SUPPORTED: Final = 0  # the tag under which the response lists supported features
_FEATURES: Final = CompactArray(
    ("name", CompactString("utf-8")), ("min", Int16), ("max", Int16), ("tags", TaggedFields)
)


class FeaturesResponse(Response):  # type: ignore[misc]  # aiokafka is untyped to mypy here
    """What the broker answers: its features stand among the tags."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "api_versions",
            CompactArray(
                ("api_key", Int16),
                ("min_version", Int16),
                ("max_version", Int16),
                ("tags", TaggedFields),
            ),
        ),
        ("throttle_time_ms", Int32),
        ("tags", TaggedFields),
    )


class FeaturesStruct(RequestStruct):  # type: ignore[misc]
    """What we ask, version 3, which aiokafka 0.14 does not speak yet."""

    FLEXIBLE_VERSION = True
    API_KEY = 18
    API_VERSION = 3
    RESPONSE_TYPE = FeaturesResponse
    SCHEMA = Schema(
        ("client_software_name", CompactString("utf-8")),
        ("client_software_version", CompactString("utf-8")),
        ("tags", TaggedFields),
    )

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Read the old header: this answer alone always has it, for clients older than it."""
        return ResponseHeader_v0.decode(read_buffer)


class FeaturesRequest(Request[FeaturesStruct]):  # type: ignore[misc]
    """Ask for what the broker can do."""

    API_KEY = 18

    def build(self, request_struct_class: type[FeaturesStruct]) -> FeaturesStruct:
        """Return the request for the wire."""
        return request_struct_class("audit-stream", "1", {})


async def metadata_level(
    bootstrap: str, *, client_options: ClientOptions | None = None
) -> int | None:
    """Return the highest metadata.version of one broker, None where it tells none.

    Raises `BrokerUnavailable`; `Misconfigured` when the broker refuses us.
    """
    async with translated(bootstrap):
        client = AIOKafkaClient(
            bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS, **(client_options or {})
        )
        try:
            await client.bootstrap()
            response = await client.send(client.get_random_node(), FeaturesRequest())
        except NotImplementedError:  # it speaks no version 3 of this request
            return None
        finally:
            await client.close()
    return level_in(response.to_object()["tags"])


def level_in(tags: dict[int, bytes]) -> int | None:
    """Return the highest supported metadata.version, None where the tags have none."""
    listed: list[Any] = _FEATURES.decode(BytesIO(tags.get(_SUPPORTED, b"\0"))) or []
    return next((most for name, _least, most, _tags in listed if name == FEATURE), None)


def release_of(level: int) -> str:
    """Name the release whose highest level this is: "4.1", "newer than 4.3"."""
    named = next((release for most, release in RELEASES if level <= most), None)
    return named or f"newer than {RELEASES[-1][1]}"
