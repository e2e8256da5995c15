"""Bytewax: the same function as a map between its Kafka source and sink."""

from typing import Final

from bytewax import operators
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from bench.contenders.job import COMPRESSION, job, judge

BATCH: Final = 10_000


def main() -> None:
    """Run until killed."""
    told = job()
    work = judge(told.work)
    brokers = [told.bootstrap]

    def carry(message: KafkaSourceMessage) -> KafkaSinkMessage:
        line = work(message.key, message.value, message.partition, message.offset, 0)
        return KafkaSinkMessage(key=message.key, value=line)

    flow = Dataflow("bench")
    source = operators.input("in", flow, KafkaSource(brokers, [told.source], batch_size=BATCH))
    made = operators.map("work", source, carry)
    settings = {"acks": "all", "compression.type": COMPRESSION}
    operators.output("out", made, KafkaSink(brokers, told.target, add_config=settings))
    run_main(flow)


if __name__ == "__main__":
    main()
