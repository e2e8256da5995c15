"""Quix Streams: the same function applied to a streaming data frame."""

from quixstreams import Application

from bench.contenders.job import COMPRESSION, job, judge


def main() -> None:
    """Run until killed."""
    told = job()
    work = judge(told.work)
    app = Application(
        broker_address=told.bootstrap,
        consumer_group=told.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        state_dir=told.folder,
        loglevel="WARNING",
        producer_extra_config={"acks": "all", "compression.type": COMPRESSION},
    )
    source = app.topic(told.source, key_deserializer="bytes", value_deserializer="bytes")
    target = app.topic(told.target, key_serializer="bytes", value_serializer="bytes")
    counted = iter(range(2**62))  # metadata of a message costs a copy; any number does

    def carry(value: bytes, key: bytes, timestamp: int, _headers: object) -> bytes:
        return work(key, value, 0, next(counted), timestamp)

    frame = app.dataframe(source).apply(carry, metadata=True)
    frame.to_topic(target)
    app.run()


if __name__ == "__main__":
    main()
