"""Faust as its documentation has it: an agent that validates each message and sends it on."""

import asyncio
from typing import Final

import faust

from bench.contenders.job import job, judge

TUNED_LINGER_S: Final = 0.005  # messages of 5 ms share a batch: twice the rate of the default, 0
JOB: Final = job()
work = judge(JOB.work)
app = faust.App(
    JOB.group,
    broker=f"kafka://{JOB.bootstrap}",
    store="memory://",
    datadir=JOB.folder,
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
    producer_acks=-1,
    producer_linger=TUNED_LINGER_S if JOB.is_tuned else None,
)
source = app.topic(JOB.source, key_type=bytes, value_type=bytes, value_serializer="raw")
target = app.topic(JOB.target, key_type=bytes, value_type=bytes, value_serializer="raw")


async def carry(stream: faust.StreamT[bytes]) -> None:
    """Validate each message and send it on."""
    async for event in stream.events():
        message = event.message
        line = work(event.key, event.value, message.partition, message.offset, 0)
        await target.send(key=event.key, value=line)


app.agent(source)(carry)


if __name__ == "__main__":
    asyncio.set_event_loop(asyncio.new_event_loop())
    worker = faust.Worker(app, loglevel="warn")
    worker.execute_from_commandline()
