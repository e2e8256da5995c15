import json

import pytest

from consumers.sink.intent import METADATA_BYTES_MAX, Intent, Position, decode, encode
from schemas.errors import Broken

INTENT = Intent(
    last=19, origin_next=31, accepted=8, rejected=2, month=202510, content="ab", deadline_s=9
)


@pytest.mark.parametrize(
    "position",
    [
        pytest.param(Position(0, "", 0), id="before the first record"),
        pytest.param(Position(10, "mXvG0bqmS5e4fXk6yBHzVA", 20), id="nothing announced"),
        pytest.param(Position(10, "mXvG0bqmS5e4fXk6yBHzVA", 20, INTENT), id="a batch announced"),
    ],
)
def test_position_comes_back_from_a_commit(position: Position) -> None:
    text = encode(position)

    assert decode(position.offset, text) == position
    assert len(text) < METADATA_BYTES_MAX


@pytest.mark.parametrize(
    ("offset", "metadata"),
    [pytest.param(-1, None, id="no commit"), pytest.param(5, "", id="moved by a tool")],
)
def test_commit_that_is_not_ours_is_none(offset: int, metadata: str | None) -> None:
    assert decode(offset, metadata) is None


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param("not json", id="not JSON"),
        pytest.param('{"v":2,"inc":"x","e":1}', id="a later version"),
        pytest.param('{"v":1,"inc":"x"}', id="a field missing"),
        pytest.param(
            '{"v":1,"inc":"x","e":20,"i":[9,31,8,2,202510,"ab",9]}', id="ends before it begins"
        ),
        pytest.param(
            '{"v":1,"inc":"x","e":20,"i":[19,31,0,0,202510,"ab",9]}', id="announces nothing"
        ),
        pytest.param(
            '{"v":1,"inc":"x","e":20,"i":[19,31,9,9,202510,"ab",9]}', id="more rows than offsets"
        ),
        pytest.param(json.dumps([1]), id="a list"),
    ],
)
def test_commit_that_no_sink_wrote_stops_the_partition(metadata: str) -> None:
    with pytest.raises(Broken):
        decode(10, metadata)
