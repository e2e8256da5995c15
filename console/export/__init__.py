"""Exports: events in bulk as CSV, JSON lines or Parquet, bound to what the ledger proves stored."""
