import ctypes
import subprocess
import sys

import pytest

# in a process of its own: what it sets holds until the end
SETTLE = """
import gc
from runtime.memory import settle
settle()
settle()
assert gc.isenabled()
assert gc.get_threshold()[0] >= 50_000
assert gc.get_freeze_count() > 0
class Node: ...
node = Node()
node.itself = node
del node
assert gc.collect() > 0  # cycles are still found
"""

# 60 MB of small blocks come and go; with trimming each round begins at nothing
HOLD = """
import resource
from runtime.memory import settle
settle()
def round_():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(60_000) for _ in range(1_000)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
first, *later = [round_() for _ in range(4)]
assert max(later) < first / 4, (first, later)
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_settled_process_collects_rarely_and_still_collects() -> None:
    run(SETTLE)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc")
def test_memory_that_was_freed_is_kept_for_the_next_round() -> None:
    run(HOLD)
