"""The emitter on a real broker: order, sizes and compressions."""

import pytest

from pipeline.emit import BrokerAddress, Emitter
from pipeline.run import OutRecord
from tests.integration.worker import at_least, collect, make_topics


async def test_record_larger_than_a_batch_keeps_its_place(kafka: str, topic_name: str) -> None:
    await make_topics(kafka, topic_name, bytes_max=4_194_304)
    emitter = Emitter(BrokerAddress(kafka), compression=None)
    await emitter.start()
    sizes = [10, 3_900_000, 700_000, 700_000, 10, 0]
    records = [OutRecord(n + 1, None, bytes(size), ()) for n, size in enumerate(sizes)]
    try:
        await emitter.send(topic_name, 2, records)
    finally:
        await emitter.stop()
    found = await collect(kafka, topic_name, at_least(len(sizes)))
    assert [len(record.value) for record in found[2]] == sizes
    assert [record.timestamp for record in found[2]] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("compression", ["lz4", "snappy"])
async def test_other_compressions_come_through(
    kafka: str, topic_name: str, compression: str
) -> None:
    await make_topics(kafka, topic_name)
    emitter = Emitter(BrokerAddress(kafka), compression=compression)
    await emitter.start()
    try:
        await emitter.send(topic_name, 0, [OutRecord(1, b"k", b"v", (("h", b"x"),))])
    finally:
        await emitter.stop()
    found = await collect(kafka, topic_name, at_least(1))
    assert found[0][0].headers == (("h", b"x"),)
