"""The limit: aiokafka alone, whole fetches re-emitted as record batches, no framework."""

import asyncio

from aiokafka import AIOKafkaConsumer

from bench.contenders.job import COMPRESSION, Job, job, judge
from pipeline.emit import BrokerAddress, Emitter
from pipeline.run import OutRecord


async def run(told: Job) -> None:
    """Carry records from source to target, partition by partition, until killed."""
    work = judge(told.work)
    emitter = Emitter(BrokerAddress(told.bootstrap), compression=COMPRESSION)
    consumer = AIOKafkaConsumer(
        told.source,
        bootstrap_servers=told.bootstrap,
        group_id=told.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1_048_576,
    )
    await emitter.start()
    await consumer.start()
    while True:
        fetched = await consumer.getmany(timeout_ms=500, max_records=20_000)
        made = {
            tp.partition: [
                OutRecord(r.timestamp, r.key, work(r.key, r.value, tp.partition, r.offset, 0), ())
                for r in records
            ]
            for tp, records in fetched.items()
        }
        await asyncio.gather(*(emitter.send(told.target, n, batch) for n, batch in made.items()))
        if fetched:
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(run(job()))
