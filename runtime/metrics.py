"""Numbers about the process itself, beside those that each service counts."""

import asyncio
import resource
import sys
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

LAG_EVERY_S: Final = 0.25
LAG_BUCKETS_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ProcessMetrics:
    """Memory in use and how late the event loop is: the two first signs of trouble."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.resident = Gauge(
            "audit_process_resident_bytes", "Memory of this process in RAM.", registry=registry
        )
        self.resident.set_function(resident_bytes)
        self.unmet = Gauge(
            "audit_process_unmet_conditions",
            "How many conditions of /ready are not met; 0 is ready.",
            registry=registry,
        )
        self.lag = Histogram(
            "audit_loop_lag_seconds",
            "How much later than asked the event loop woke a sleeper.",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )

    async def watch_loop(self) -> None:
        """Measure the loop's lag for ever; cancel it to end."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self.lag.observe(max(0.0, loop.time() - due))


def resident_bytes() -> int:
    """Return this process's memory in RAM now; where the system can't tell, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()
