"""Making very many objects that all stay: the collector, which would walk them again and again."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let Python's cycle collector rest; a third of the time to load 20,000 rules is its.

    Bounded by the bounds of a rule set; what is freed by count is freed as ever.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
