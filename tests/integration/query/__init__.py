"""The query language on the real engine, held against a plain reading of what it means."""
