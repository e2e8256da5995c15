"""The exactly-once sink: audit.records to ClickHouse by intent, insert and ack."""
