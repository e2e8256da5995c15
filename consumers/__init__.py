"""Kafka to elsewhere: the sink into the store, and the delivery of alerts."""
