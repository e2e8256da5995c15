"""The doctor's probes of the parts: the store, the deliveries in it, Kafka and its topics."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from console.health.doctor import Finding, Probe, skew_probe
from console.search.reading import Asks
from runtime.kafka_release import LEVEL_4_0_MIN, metadata_level, release_of
from runtime.topics import ensure_topics, topic_ids
from schemas.tables import DELIVERIES, MIGRATIONS
from schemas.tables import EVENTS as EVENTS_TABLE
from schemas.topics import EVENTS, TopicSpec

MAJOR_MIN: Final = 26
FAILING_MINUTES: Final = 60
FAILURES: Final = ("failed", "given_up", "deferred")
RECENT_MINUTES: Final = 10
AHEAD_MS_MAX: Final = 10_000
BEHIND_MS_MAX: Final = 60_000  # a sink that caught up within the minute is no skew


def store_probes(store: Asks, now_ms: Callable[[], int], versions: Sequence[int]) -> list[Probe]:
    """Return the probes of the store; `versions` are the migrations that this code comes with."""

    async def ask(sql: str) -> list[dict[str, Any]]:
        return await asyncio.to_thread(store.query, sql)

    async def look_version() -> Finding:
        version = str((await ask("SELECT version() AS v"))[0]["v"])
        return Finding(int(version.split(".", 1)[0]) >= MAJOR_MIN, version)

    async def look_migrations() -> Finding:
        rows = await ask(f"SELECT DISTINCT version FROM {MIGRATIONS}")
        missing = sorted(set(versions) - {int(row["version"]) for row in rows})
        return Finding(not missing, f"missing {missing}" if missing else "all applied")

    async def look_targets() -> Finding:
        rows = await ask(
            f"SELECT target, argMax(toString(outcome), (at, attempt)) AS last FROM {DELIVERIES} "
            f"WHERE at > now64() - INTERVAL {FAILING_MINUTES} MINUTE AND target != '*' "
            "AND error != 'queued' AND (outcome != 'deferred' OR position(error, '/') > 0) "
            "GROUP BY target ORDER BY target LIMIT 100"
        )
        bad = [row["target"] for row in rows if row["last"] in FAILURES]
        return Finding(not bad, f"failing: {', '.join(bad)}" if bad else "none failing")

    async def ask_clock() -> int:
        return int((await ask("SELECT toUnixTimestamp64Milli(now64(3)) AS ms"))[0]["ms"])

    return [
        broker_clock_probe(store),
        Probe(
            "ClickHouse",
            f"version {MAJOR_MIN} or newer",
            "start it, or upgrade it; see the log of the store",
            look_version,
        ),
        Probe("tables", "every migration applied", "run 'audit migrate'", look_migrations),
        Probe(
            "alert targets",
            f"no target failing in the last {FAILING_MINUTES} minutes",
            "see 'audit alerts targets' and the log for the reason; correct the target's URL",
            look_targets,
        ),
        skew_probe("the store", now_ms, ask_clock),
    ]


def broker_clock_probe(store: Asks) -> Probe:
    """Return a probe that compares when the broker recorded with when the store stored."""

    async def look() -> Finding:
        rows = await asyncio.to_thread(
            store.query,
            "SELECT count() AS n, min(toUnixTimestamp64Milli(stored) - "
            f"toUnixTimestamp64Milli(recorded)) AS least FROM {EVENTS_TABLE} "
            f"WHERE stored > now64() - INTERVAL {RECENT_MINUTES} MINUTE AND replayed = 0",
        )
        if not int(rows[0]["n"]):
            return Finding(is_ok=True, found="nothing stored lately, nothing to compare")
        least = int(rows[0]["least"])
        return Finding(
            -AHEAD_MS_MAX <= least <= BEHIND_MS_MAX,
            f"the quickest event of late was stored {least} ms after the broker had it",
        )

    return Probe(
        "clock of the broker",
        f"{AHEAD_MS_MAX // 1000} s ahead to {BEHIND_MS_MAX // 1000} s behind the store's",
        "let both machines keep time by NTP; if the sink was behind for long, ask again later",
        look,
    )


def kafka_probes(
    bootstrap: str, specs: Sequence[TopicSpec], client_options: Mapping[str, Any] | None = None
) -> list[Probe]:
    """Return the probes of the broker and of the topics as `specs` have them."""
    options = dict(client_options or {})

    async def look_broker() -> Finding:
        ids = await topic_ids(bootstrap, [EVENTS], client_options=options)
        return Finding(EVENTS in ids, "answers" if EVENTS in ids else f"answers, without {EVENTS}")

    async def look_release() -> Finding:
        return judge_level(await metadata_level(bootstrap, client_options=options))

    async def look_topics() -> Finding:
        states = await ensure_topics(bootstrap, specs, verify_only=True, client_options=options)
        faults = [f"{f.topic} {f.setting}: {f.have}" for s in states for f in s.faults]
        return Finding(
            all(state.is_right for state in states),
            "; ".join(faults[:5]) if faults else "as they must be",
        )

    return [
        Probe(
            "Kafka",
            f"answers, and tells the id of {EVENTS}",
            "start it, or correct the bootstrap address; it must tell topic ids",
            look_broker,
        ),
        Probe("Kafka's release", "Kafka 4.0 or newer", "upgrade the brokers", look_release),
        Probe(
            "topics", "with the settings that the promises need", "run 'audit topics'", look_topics
        ),
    ]


def judge_level(level: int | None) -> Finding:
    """Say which release a broker's metadata.version is of; one that tells none is a note."""
    if level is None:
        return Finding(is_ok=True, found="tells no metadata.version: not known", is_note=True)
    return Finding(level >= LEVEL_4_0_MIN, f"{release_of(level)} (metadata.version {level})")


def target_probe(names: Sequence[str]) -> Probe:
    """Return a probe of whether alerts reach anybody."""

    async def look() -> Finding:
        told = ", ".join(names) or "no target: alerts are stored, shown and logged, nobody is paged"
        return Finding(is_ok=True, found=told, is_note=not names)

    return Probe(
        "alert delivery",
        "as many targets as you want",
        "name a target in AUDIT_ALERT_TARGETS, as an apprise URL",
        look,
    )
