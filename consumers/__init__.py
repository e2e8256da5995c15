"""Kafka to Kafka: validate, enrich, flag."""
