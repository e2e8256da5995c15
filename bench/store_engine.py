"""Whether this chDB can read Kafka by itself, asked in a process of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from bench.stack import work_folder
from runtime.clickhouse import Store
from schemas.errors import AuditError
from schemas.topics import RECORDS

ROOT: Final = Path(__file__).parent.parent


def kafka_engine(bootstrap: str) -> str:
    """Say what becomes of a table with the Kafka engine."""
    with work_folder() as folder:
        argv = [sys.executable, "-m", "bench.store_engine", str(folder), bootstrap]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"the process ended with {done.returncode}"


def main() -> None:
    """Try it and print the outcome in a few words."""
    folder, bootstrap = sys.argv[1:]
    with Store(f"chdb://{folder}/store") as store:
        store.create_database()
        sql = (
            "CREATE TABLE from_kafka (line String) ENGINE = Kafka SETTINGS"
            f" kafka_broker_list = '{bootstrap}', kafka_topic_list = '{RECORDS}',"
            " kafka_group_name = 'bench-engine', kafka_format = 'LineAsString'"
        )
        try:
            store.command(sql)
        except (AuditError, ClickHouseError) as error:
            print(f"refused ({error})")
        else:
            print("the table can be made")


if __name__ == "__main__":
    main()
