"""Importing the SDK loads neither the pipeline's engine nor the store's client."""

import subprocess
import sys


def test_importing_the_producers_loads_no_heavy_neighbour() -> None:
    code = (
        "import sys, producers, producers.file, producers.player, producers.bench_events;"
        "print(*{'faust', 'mode', 'clickhouse_connect', 'chdb', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
