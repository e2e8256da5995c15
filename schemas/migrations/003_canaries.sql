-- What became of canaries: synthetic events that prove that a rule still speaks.
-- Only additions, so that an older reader goes on. Each statement may run twice.

CREATE TABLE IF NOT EXISTS canary_runs
(
  rule_id LowCardinality(String),
  run String,
  kind Enum8('sent' = 1, 'fired' = 2, 'silent' = 3),
  at DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (rule_id, at, kind)
TTL toDateTime(at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;
