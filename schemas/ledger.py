"""The ledger: what went in, what is stored, and that nothing is missing."""

from pydantic import BaseModel, ConfigDict


class PartitionLedger(BaseModel):
    """One partition of `audit.events`, in records.

    received = stored + quarantined + lag + difference. `received` counts events on the topic
    since its incarnation began (transaction markers are not events); `lag` is what the sink has
    not yet accounted for; `difference` must be 0: positive is a loss, negative a duplicate.
    """

    model_config = ConfigDict(frozen=True)

    incarnation: str
    topic: str
    partition: int
    received: int
    stored: int
    quarantined: int
    difference: int
    lag: int


class Ledger(BaseModel):
    """The sum over `partitions`, and each of them."""

    model_config = ConfigDict(frozen=True)

    received: int
    stored: int
    quarantined: int
    difference: int
    lag: int
    partitions: tuple[PartitionLedger, ...]


def total(partitions: list[PartitionLedger]) -> Ledger:
    """Sum up, keeping the order given."""
    sums = {
        name: sum(getattr(partition, name) for partition in partitions)
        for name in ("received", "stored", "quarantined", "difference", "lag")
    }
    return Ledger(**sums, partitions=tuple(partitions))
