"""The doctor: asks each part whether it is there and as it must be, all at once, each in time."""

import asyncio
import shutil
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import AuditError
from schemas.views import Check, Diagnosis

PROBE_S_MAX: Final = 5.0
SKEW_MS_MAX: Final = 2_000  # the sink's deadline of 120 s bears far more; people comparing don't
DISK_BYTES_MIN: Final = 1_073_741_824
LAG_MAX: Final = 100_000  # records: five seconds of the fastest load that was measured


class Finding(NamedTuple):
    """What a probe saw, in words, and whether that is good; a note is good, but worth knowing."""

    is_ok: bool
    found: str
    is_note: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to look at. `look` raises an `AuditError` where it can't see."""

    name: str
    want: str
    cure: str
    look: Callable[[], Awaitable[Finding]]


async def examine(probes: Sequence[Probe], *, seconds_max: float = PROBE_S_MAX) -> Diagnosis:
    """Run all probes at once. Total: a probe that fails or hangs is a check that is not ok."""
    checks = await asyncio.gather(*(_check(probe, seconds_max) for probe in probes))
    return Diagnosis(ok=all(check.ok for check in checks), checks=tuple(checks))


async def _check(probe: Probe, seconds_max: float) -> Check:
    is_note = False
    try:
        async with asyncio.timeout(seconds_max):
            is_ok, found, is_note = await probe.look()
    except TimeoutError:
        is_ok, found = False, f"no answer within {seconds_max:g} s"
    except AuditError as error:
        is_ok, found = False, str(error)
    except OSError as error:
        is_ok, found = False, error.strerror or type(error).__name__
    return Check(
        name=probe.name,
        ok=is_ok,
        note=is_note,
        found=found,
        want=probe.want,
        cure=None if is_ok else probe.cure,
    )


def skew_probe(name: str, now_ms: Callable[[], int], ask: Callable[[], Awaitable[int]]) -> Probe:
    """Return a probe of another clock; `ask` gives its milliseconds. Half the way is free."""

    async def look() -> Finding:
        before_ms = now_ms()
        theirs_ms = await ask()
        after_ms = now_ms()
        skew_ms = theirs_ms - (before_ms + after_ms) // 2
        allowed_ms = SKEW_MS_MAX + (after_ms - before_ms) // 2
        return Finding(abs(skew_ms) <= allowed_ms, f"{skew_ms:+d} ms")

    return Probe(
        f"clock of {name}",
        f"within {SKEW_MS_MAX} ms of this machine",
        "synchronise the clocks (NTP)",
        look,
    )


def disk_probe(folder: Path) -> Probe:
    """Return a probe of the space left where the data is."""

    async def look() -> Finding:
        free = (await asyncio.to_thread(shutil.disk_usage, folder)).free
        return Finding(free >= DISK_BYTES_MIN, f"{free // 1_048_576} MiB free")

    return Probe(
        "disk",
        f"{DISK_BYTES_MIN // 1_048_576} MiB free in {folder}",
        "make room, or move the data folder to a larger disk",
        look,
    )


def token_probe(path: Path) -> Probe:
    """Return a probe of who may read the token."""

    async def look() -> Finding:
        mode = stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode)
        return Finding(not mode & 0o077, f"mode {mode:04o}")

    return Probe("token file", "only its owner can read it (0600)", f"chmod 600 {path}", look)


def lag_probe(lag: Callable[[], Awaitable[tuple[int, int]]]) -> Probe:
    """Return a probe of (lag, difference) as the ledger has them."""

    async def look() -> Finding:
        behind, difference = await lag()
        is_ok = behind <= LAG_MAX and difference == 0
        return Finding(is_ok, f"lag {behind}, difference {difference}")

    return Probe(
        "ledger",
        f"difference 0, lag at most {LAG_MAX}",
        "see 'audit ledger': a difference is a loss or a duplicate; a lag means that the pipeline "
        "or the sink is down or too slow",
        look,
    )
