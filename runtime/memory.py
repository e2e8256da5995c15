"""How a long-running process keeps memory: less given back and looked through, less work.

Measured in the pipeline's worker, where each fetch is some ten MiB that come and go.
"""

import ctypes
import gc
from typing import Final

MIB: Final = 1_048_576

# glibc hands the end of its heap back to the kernel after every 128 KiB that are free there, and
# asks for it again, page by page, with the next fetch; a seventh of the worker's time went so.
_M_TRIM_THRESHOLD: Final = -1  # numbers of glibc's malloc.h
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_OPTIONS: Final = (
    (_M_TRIM_THRESHOLD, 128 * MIB),
    (_M_TOP_PAD, 16 * MIB),
    (_M_MMAP_THRESHOLD, 32 * MIB),  # the most that glibc takes
)

# What a service holds is thousands of records, none of them garbage or in a cycle; looking through
# them every few hundred allocations, as Python does by itself, costs a twentieth of its time.
_COLLECT_AFTER: Final = (100_000, 20, 50)


def settle() -> None:
    """Tune the allocator and the garbage collector; call it once all is imported and built.

    What exists now is never looked through again. Where the C library has no `mallopt` (musl,
    macOS) its ways stay as they are. Idempotent.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, size in _OPTIONS:
            mallopt(option, size)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)


def keep() -> None:
    """Let all that exists now be looked through never again, at once and without a pause.

    For what was made whole while the collector rested, and stays for long: to look through 20,000
    rules takes 0.6 s, each time. What is kept so is still freed by count, but circles are not:
    what is replaced must hold none (a test sees to it for rules). Other circles that exist at
    this moment stay for good, and that is little: they are what few runs leave. To let go of them
    (`gc.unfreeze`) would cost the very pause.
    """
    gc.freeze()
