"""Impossible travel: one group in two countries faster than anything flies. Decided at once. Pure.

Times are those of the events, in steps of ten minutes; S holds the later ends of all pairs of
sights in different countries whose distance the speed limit does not allow. Any pair counts, not
only neighbours in time, so more events only add to S. Beyond the time that half the globe takes
nothing is impossible. What is sure shrinks to the latest sight of each country.
"""

from bisect import insort
from math import ceil
from typing import Any, Final

from detections.stateful.memory import Body, Crossing, Memory
from detections.stateful.places import HALF_ROUND_KM, distance_km
from schemas.signal import Entry

STEP_MS: Final = 600_000
HOUR_MS: Final = 3_600_000
COUNTRIES_MAX: Final = 64  # of a group
SIGHTS_MAX: Final = 256  # of a country; only without a watermark can there be as many


class Travel:
    """Body: country -> sights [step, event id] in order. One alert per bucket of `repeat_ms`."""

    def __init__(
        self, speed_km_per_h_max: float, distance_km_min: float, repeat_ms: int, grace_ms: int
    ) -> None:
        assert distance_km_min > 0, "a country is at no distance of itself"
        self.bucket_ms: Final = repeat_ms
        self._speed: Final = speed_km_per_h_max
        self._distance_km_min: Final = distance_km_min
        self.grace_ms: Final = grace_ms
        self._horizon: Final = ceil(HALF_ROUND_KM / self._speed * HOUR_MS / STEP_MS) + 1
        self.retention_ms: Final = (self._horizon + 1) * STEP_MS

    def fresh(self) -> Body:
        """Return no sights, as `Machine.fresh` promises."""
        return {}

    def add(self, memory: Memory, entry: Entry, _partition: int) -> None:
        """Note a sight, and compare it with those in other countries."""
        country, step = entry[4], entry[1] // STEP_MS
        if type(country) is not str or not country:
            return
        if memory.watermark_ms and step < self._sure(memory):
            memory.missed += 1
            return
        sights: list[list[Any]] = memory.body.setdefault(country, [])
        if any(sight[0] == step for sight in sights):
            return
        insort(sights, [step, entry[5][0]])
        for other, seen in memory.body.items():
            distance = distance_km(country, other)
            if distance >= self._distance_km_min:
                self._compare(memory, entry, (country, other, distance), seen)

    def advance(self, memory: Memory) -> None:
        """Forget sights that no sight still to come is compared with."""
        body = memory.body
        sure = self._sure(memory) if memory.watermark_ms else None
        for country, sights in list(body.items()):
            if sure is not None:
                gone = sum(1 for sight in sights if sight[0] < sure) - 1
                del sights[: max(0, gone)]
                if sights[-1][0] < sure - self._horizon:
                    del body[country]
            if (surplus := len(sights) - SIGHTS_MAX) > 0:
                memory.thinned += surplus
                del sights[:surplus]
        while len(body) > COUNTRIES_MAX:
            memory.thinned += 1
            del body[min(body, key=lambda country: (body[country][-1][0], country))]

    def due_ms(self, _body: Body) -> int | None:
        """Return None: everything is decided at once."""
        return None

    def last_ms(self, body: Body) -> int | None:
        """Return the end of the latest step."""
        last = max((sights[-1][0] for sights in body.values()), default=None)
        return None if last is None else (last + 1) * STEP_MS

    def _sure(self, memory: Memory) -> int:
        """Return the step before which no sight is still to come."""
        return (memory.watermark_ms - self.grace_ms) // STEP_MS

    def _compare(
        self,
        memory: Memory,
        entry: Entry,
        leg: tuple[str, str, float],
        seen: list[list[Any]],
    ) -> None:
        """Cross the later ends of all impossible pairs with the sights of another country."""
        country, other, distance = leg
        step = entry[1] // STEP_MS
        steps_min = distance / self._speed * HOUR_MS / STEP_MS  # what the way takes at least
        for at, event_id in seen:
            apart = abs(at - step)
            if apart + 1 >= steps_min:  # the true times may be up to a step farther apart
                continue
            bucket = max(at, step) * STEP_MS // self.bucket_ms
            start, end = (other, country) if at <= step else (country, other)
            words = (
                ("from", start),
                ("to", end),
                ("distance", f"{distance:,.0f} km"),
                ("minutes", str((apart + 1) * STEP_MS // 60_000)),
            )
            ids = tuple(dict.fromkeys((event_id, entry[5][0])))
            memory.cross(Crossing(bucket, ids, 2, entry[1], entry[2], entry[5], words=words))
