"""Replay from quarantine: stage 1 and the store put together, which may not know each other."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cli.detecting import RuleWatch
from cli.judging import build_stage, lookup_paths
from consumers.quarantine import Alerts, Coordinates, JudgeAgain, ReplayReport, Selection, replay
from pipeline.emit import Emitter
from pipeline.lookups import LookupFiles
from pipeline.run import OutAlert
from pipeline.stage import Where
from runtime.clickhouse import Store
from runtime.settings import PipelineSettings
from schemas.topics import ALERTS
from schemas.views import ReplayAsked, ReplayDone

EMIT_S_MAX: Final = 30.0


class Replayer:
    """Replays one request at a time; what judges is made for it and let go after."""

    def __init__(
        self,
        store: Store,
        make_judge: Callable[[], JudgeAgain],
        make_emitter: Callable[[], Emitter],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._make_judge = make_judge
        self._make_emitter = make_emitter
        self._now_ms = now_ms
        self._one_at_a_time = asyncio.Lock()

    async def replay(self, asked: ReplayAsked) -> ReplayDone:
        """Judge again what is asked for. Raises `Unavailable`; what was moved stays moved."""
        async with self._one_at_a_time:
            emitter = self._make_emitter()
            await emitter.start()
            try:
                report = await asyncio.to_thread(
                    self._replay, asked, emitter, asyncio.get_running_loop()
                )
            finally:
                await emitter.stop()
        return ReplayDone(
            replayed=report.replayed,
            still_rejected=report.still_rejected,
            next=":".join(map(str, report.next)) if report.next else None,
        )

    def _replay(
        self, asked: ReplayAsked, emitter: Emitter, loop: asyncio.AbstractEventLoop
    ) -> ReplayReport:
        def emit(alerts: Alerts) -> None:
            sending = emitter.send_keyed(ALERTS, [OutAlert(*alert) for alert in alerts])
            asyncio.run_coroutine_threadsafe(sending, loop).result(EMIT_S_MAX)

        return replay(
            self._store,
            self._make_judge(),
            Selection(asked.reason, asked.partition, asked.offset, _place(asked.after)),
            asked.limit,
            emit=emit,
            now_s=lambda: self._now_ms() // 1000,
        )


def _place(after: str | None) -> Coordinates | None:
    if after is None:
        return None
    incarnation, topic, partition, offset = after.split(":")
    return Coordinates(incarnation, topic, int(partition), int(offset))


def judge_by(
    settings: PipelineSettings, rule_dirs: Sequence[Path], canary_key: bytes = b""
) -> JudgeAgain:
    """Return stage 1 as it is now: lookups and rules are read for one replay, and let go after."""
    lookups = LookupFiles(lookup_paths(settings)).lookups
    detector = RuleWatch(rule_dirs, settings).current.detector
    stage = build_stage(settings, lookups, detector, incarnation="", canary_key=canary_key)

    def judge_again(  # noqa: PLR0917 - as `JudgeAgain` has it
        raw: bytes | None,
        key: bytes | None,
        incarnation: str,
        topic: str,
        partition: int,
        offset: int,
        recorded_ms: int,
    ) -> tuple[str, bytes, Alerts]:
        where = Where(incarnation, topic, partition, offset)
        judged = stage.judge(raw, where, recorded_ms, key)
        alerts = [(a.alert_id.encode(), a.model_dump_json().encode()) for a in judged.alerts]
        return judged.kind, judged.line, alerts

    return judge_again
