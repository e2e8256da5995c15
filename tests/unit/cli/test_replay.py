from typing import Any

import pytest

from cli.quarantine import REPLAY_PAGE_ROWS, _replay


class Api:
    """Answers replays of `total` open messages, of which every second one passes."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked: list[dict[str, Any]] = []

    def post(self, _path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take the next `limit` after `after`."""
        self.asked.append(body)
        begin = int(body.get("after", "0"))
        end = min(self.total, begin + body["limit"])
        passed = (end - begin) // 2
        is_end = end - begin < body["limit"]
        return {
            "replayed": passed,
            "still_rejected": end - begin - passed,
            "next": None if is_end else str(end),
        }


@pytest.mark.parametrize(
    ("total", "limit", "looked_at", "is_cut"),
    [
        pytest.param(0, 10, 0, False, id="nothing"),
        pytest.param(3, 10, 3, False, id="one short page"),
        pytest.param(3 * REPLAY_PAGE_ROWS + 1, 10_000, 3 * REPLAY_PAGE_ROWS + 1, False, id="pages"),
        pytest.param(5_000, REPLAY_PAGE_ROWS + 10, REPLAY_PAGE_ROWS + 10, True, id="limit"),
    ],
)
def test_replay_goes_on_to_the_end_or_its_limit(
    total: int, limit: int, looked_at: int, *, is_cut: bool
) -> None:
    api = Api(total)
    done = _replay(api, {"reason": "team:unknown"}, limit)  # type: ignore[arg-type]
    assert done["replayed"] + done["still_rejected"] == looked_at
    assert done["is_cut"] == is_cut
    assert all(asked["reason"] == "team:unknown" for asked in api.asked)
    assert all(asked["limit"] <= REPLAY_PAGE_ROWS for asked in api.asked)
