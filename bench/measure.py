"""What a process has used so far, read from the kernel, and the statistics of repeated runs."""

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system, all threads) and resident memory, now and at its peak."""

    cpu_s: float
    rss_mib: float
    peak_mib: float


def usage(pid: int) -> Usage:
    """Read a living process; zeros once it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Usage(0.0, 0.0, 0.0)
    fields = stat.rsplit(")", 1)[1].split()  # the name before may hold anything
    ticks = int(fields[11]) + int(fields[12])
    sizes = dict(line.split(":", 1) for line in status.splitlines() if line.startswith("Vm"))
    return Usage(ticks / TICKS_PER_S, _mib(sizes.get("VmRSS")), _mib(sizes.get("VmHWM")))


def forget_peak(pid: int) -> None:
    """Start the peak of a process's memory anew from what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios pair by pair: both of a pair ran side by side."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def _mib(line: str | None) -> float:
    return int(line.split()[0]) / 1024 if line else 0.0
