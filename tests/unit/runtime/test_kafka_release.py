import pytest
from aiokafka.protocol.types import TaggedFields

from runtime.kafka_release import RELEASES, level_in, release_of


def feature(name: str, least: int, most: int) -> bytes:
    raw = name.encode()
    bounds = least.to_bytes(2, "big") + most.to_bytes(2, "big")
    return bytes([len(raw) + 1]) + raw + bounds + TaggedFields.encode({})


def listed(*features: bytes) -> dict[int, bytes]:
    return {0: bytes([len(features) + 1]) + b"".join(features)}


def test_level_is_the_highest_supported_of_the_one_feature() -> None:
    tags = listed(feature("kraft.version", 0, 1), feature("metadata.version", 7, 27))
    assert level_in(tags) == 27


@pytest.mark.parametrize("tags", [{}, listed(), listed(feature("kraft.version", 0, 1))])
def test_broker_that_tells_no_level_has_none(tags: dict[int, bytes]) -> None:
    assert level_in(tags) is None


def test_levels_grow_with_releases() -> None:
    assert list(RELEASES) == sorted(RELEASES)
    assert [release_of(level) for level in (1, 21, 22, 30, 31)] == [
        "3.3",
        "3.9",
        "4.0",
        "4.3",
        "newer than 4.3",
    ]
