-- Alerts that people work on: what was done with them, which belong together, who hears when.
-- Only additions, so that an older reader goes on. Each statement may run twice.

ALTER TABLE alerts ADD COLUMN IF NOT EXISTS why String CODEC(ZSTD(1));
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS suppressed_by LowCardinality(String);
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS rule_set LowCardinality(String);
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS canary Bool;

-- The alert that opened the group which this one belongs to; empty in rows of before: itself.
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS lead_id String;
-- What the group is of, such as "user=jane@company.com".
ALTER TABLE alerts ADD COLUMN IF NOT EXISTS grouped_by String CODEC(ZSTD(1));

-- Held back: `error` says why, `next_at` until when.
ALTER TABLE deliveries MODIFY COLUMN outcome
  Enum8('delivered' = 1, 'failed' = 2, 'given_up' = 3, 'suppressed' = 4, 'deferred' = 5);

-- Append-only: one row a change, never altered. The status of an alert is its last one here.
CREATE TABLE IF NOT EXISTS alert_changes
(
  change_id String,
  alert_id String,
  tenant LowCardinality(String),
  at DateTime64(3, 'UTC'),
  who LowCardinality(String),
  kind Enum8('status' = 1, 'assignee' = 2, 'note' = 3),
  before String,
  value String CODEC(ZSTD(1)),
  stored DateTime64(3, 'UTC') DEFAULT now64(3),
  INDEX ix_stored stored TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
ORDER BY (alert_id, at, change_id)
SETTINGS non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;
