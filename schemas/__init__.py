"""The language that all parts speak: event, record, alert, errors, topics and tables."""
