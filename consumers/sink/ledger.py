"""The ledger: what Kafka has against what the store has, in numbers that must agree."""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

from runtime.clickhouse import Store
from runtime.topics import ClientOptions, end_offsets, topic_ids
from schemas.ledger import Ledger, PartitionLedger, total
from schemas.tables import BATCHES, EVENTS, QUARANTINE

Key = tuple[str, str, int]  # incarnation, topic, partition

# What each partition's ledger lines say. Rows past the last line belong to a batch in flight; rows
# before it never change, so the questions may be asked one after the other.
_EXTENTS: Final = f"""
SELECT incarnation, partition, max(origin_next), sum(gaps)
FROM {BATCHES} FINAL WHERE topic = {{topic:String}} GROUP BY incarnation, partition
"""
_WHERE: Final = """
WHERE incarnation = {incarnation:String} AND topic = {topic:String}
  AND partition < length({next:Array(UInt64)})
GROUP BY partition
"""
_STORED: Final = f"""
SELECT partition, countIf(replayed = 0 AND offset < {{next:Array(UInt64)}}[partition + 1]),
  countIf(replayed = 1), uniqExactIf(offset, replayed = 1)
FROM {EVENTS} {_WHERE}
"""
_REJECTED: Final = f"""
SELECT partition, countIf(offset < {{next:Array(UInt64)}}[partition + 1]) FROM {QUARANTINE} {_WHERE}
"""


class Account(NamedTuple):
    """What the store says of one partition of one incarnation."""

    next: int
    gaps: int
    stored: int
    replayed: int
    replayed_once: int
    rejected: int


async def ledger(
    store: Store,
    bootstrap: str,
    topic: str,
    *,
    client_options: ClientOptions | None = None,
) -> Ledger:
    """Compare Kafka's end offsets of the raw topic with the rows of the store.

    Raises `Unavailable` if either doesn't answer. Safe while the sink writes: a batch in flight
    is lag, never a difference.
    """
    accounts = await asyncio.to_thread(read_accounts, store, topic)
    # asked after the store: what came in between is lag, not a negative one
    ids = await topic_ids(bootstrap, [topic], client_options=client_options)
    if topic not in ids:
        return balance(topic, "", {}, accounts)
    ends = await end_offsets(bootstrap, topic, client_options=client_options)
    return balance(topic, ids[topic], ends, accounts)


def read_accounts(store: Store, topic: str) -> dict[Key, Account]:
    """Ask the store for every partition's account."""
    extents: dict[str, dict[int, tuple[int, int]]] = {}
    for incarnation, partition, origin_next, gaps in store.query_rows(_EXTENTS, {"topic": topic}):
        extents.setdefault(str(incarnation), {})[int(partition)] = (int(origin_next), int(gaps))
    accounts: dict[Key, Account] = {}
    for incarnation, known in extents.items():
        nexts = [known.get(number, (0, 0))[0] for number in range(max(known) + 1)]
        asked = {"incarnation": incarnation, "topic": topic, "next": nexts}
        # quarantine first: a replay in between is then in both counts that cancel out, or none
        rejected = {int(row[0]): int(row[1]) for row in store.query_rows(_REJECTED, asked)}
        stored = {int(row[0]): row[1:] for row in store.query_rows(_STORED, asked)}
        for number, (origin_next, gaps) in known.items():
            once, replayed, replayed_once = (int(n) for n in stored.get(number, (0, 0, 0)))
            accounts[incarnation, topic, number] = Account(
                origin_next, gaps, once, replayed, replayed_once, rejected.get(number, 0)
            )
    return accounts


def balance(
    topic: str, incarnation: str, ends: Mapping[int, int], accounts: Mapping[Key, Account]
) -> Ledger:
    """Draw the balance; pure. `ends` are of the `incarnation` that the topic has now.

    An incarnation that is over has no end any more: it is judged by what the sink read of it.
    """
    keys = set(accounts) | {(incarnation, topic, partition) for partition in ends}
    partitions = []
    for key in sorted(keys, key=lambda key: (key[1], key[2], key[0])):
        account = accounts.get(key, Account(0, 0, 0, 0, 0, 0))
        end = ends.get(key[2], account.next) if key[0] == incarnation else account.next
        partitions.append(_partition(key, end, account))
    return total(partitions)


def _partition(key: Key, end: int, account: Account) -> PartitionLedger:
    stored = account.stored + account.replayed
    quarantined = account.rejected - account.replayed_once
    return PartitionLedger(
        incarnation=key[0],
        topic=key[1],
        partition=key[2],
        received=end - account.gaps,
        stored=stored,
        quarantined=quarantined,
        lag=end - account.next,
        difference=account.next - account.gaps - stored - quarantined,
    )
