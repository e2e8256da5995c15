"""Whether the pipeline knows our mark: a forged event may raise doubt, but decides nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from cli.canary_service import DOUBT_MS, DOUBT_MS_MAX, CanaryPorts, CanaryRunner, Messages
from detections.canary import Canary
from detections.canary_watch import MARK, PATH, Pace
from detections.rulebook import START, build
from schemas.alert import Alert
from schemas.canary import run_tenant

PACE = Pace(3_600_000, 60_000, delay_ms=0, spread_ms=0)
GIVEN = build({"action": "a.b", "user": "jane"}, {}, START)


class World:
    """A store that knows the alerts that are put into it, and a clock that is ours."""

    def __init__(self, rules: Iterable[str] = ("one", "two", "three")) -> None:
        self.now = 1_780_000_000_000
        self.rows: list[tuple[str, str, str, bool, int]] = []
        self.sent: list[str] = []  # runs
        self.alerts: list[Alert] = []
        plan = [Canary(rule, "match 1", (GIVEN,), 0) for rule in rules]
        me: Any = self
        ports = CanaryPorts(me, self._publish, self._alert, lambda: plan, me)
        self.runner = CanaryRunner(ports, b"key", PACE)

    def now_ms(self) -> int:
        return self.now

    def query_rows(self, _sql: str, _parameters: Mapping[str, Any]) -> list[Any]:
        return list(self.rows)

    def insert_lines(self, *_: object) -> None:
        pass

    async def _publish(self, messages: Messages) -> None:
        self.sent += [(key or b"").decode() for _, key in messages]

    async def _alert(self, alert: Alert) -> None:
        self.alerts.append(alert)

    def comes_back(self, run: str, *, is_true: bool) -> None:
        rules = [rule for rule, known in self.runner.watch._rules.items() if known.run == run]
        group = f"tenant={run_tenant(run)} x"
        self.rows += [(rule, "", group, is_true, self.now) for rule in rules]

    async def tick(self, ms: int = 1_000) -> None:
        self.now += ms
        await self.runner.tick()

    def told(self) -> list[str]:
        return [alert.group for alert in self.alerts]


async def doubtful() -> World:
    """Return a world where the first canary came back without our mark."""
    world = World()
    await world.tick()
    world.comes_back(world.sent[0], is_true=False)
    await world.tick()
    assert not world.runner.is_known
    return world


async def test_canary_without_our_mark_is_told_once_and_few_are_sent() -> None:
    world = await doubtful()
    assert world.told() == [MARK]
    sent = len(world.sent)
    for _ in range(10):
        await world.tick()
    assert world.told() == [MARK]
    assert len(world.sent) == sent
    await world.tick(DOUBT_MS)
    assert len(world.sent) == sent + 1
    await world.tick()
    assert len(world.sent) == sent + 1


async def test_true_one_ends_the_doubt_that_a_forged_one_raised() -> None:
    world = await doubtful()
    world.comes_back(world.sent[0], is_true=True)
    await world.tick()
    assert world.runner.is_known
    world.comes_back(world.sent[1], is_true=False)
    await world.tick()
    assert world.runner.is_known, "the path has shown that it knows us"
    await world.tick(PACE.period_ms)
    assert len(world.sent) > 3


async def test_doubt_ends_with_a_later_canary_that_comes_back() -> None:
    world = await doubtful()
    world.rows.clear()
    await world.tick(DOUBT_MS)
    world.comes_back(world.sent[-1], is_true=True)
    await world.tick()
    assert world.runner.is_known


async def test_canaries_are_tried_ever_more_seldom_but_at_least_daily() -> None:
    world = await doubtful()
    first = len(world.sent)
    seen: set[str] = set(world.sent)
    for _ in range(6 * DOUBT_MS_MAX // 60_000):
        await world.tick(60_000)
        for run in set(world.sent) - seen:
            world.comes_back(run, is_true=False)
        seen = set(world.sent)
    assert 5 <= len(world.sent) - first <= 12
    assert set(world.told()) == {MARK, PATH}
