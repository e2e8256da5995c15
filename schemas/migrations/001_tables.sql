-- Source: docs/invariants.md 4 to 6. A batch of the sink is one part of one month, so every table
-- that it writes is partitioned by the broker's time, never by the claimed one.
-- Statements end with a semicolon at the end of a line; each may run twice.

-- The key begins with the minute, since every search wants the newest: the store reads along it and
-- stops when it has enough. Within a minute it keeps a user's events together: a third less disk than
-- by time alone. Not toStartOfMinute: its result ends in 2106. Granules are small
-- because the rows shown need `raw`, and one row costs its whole granule; so are compressed blocks,
-- since each of forty columns costs at least one. Strings in one stream: their sizes apart make it
-- bigger and twice the files. Parts are compact until they hold 256 MiB, about 160,000 rows: as
-- wide ones each would be a hundred files and more, for twice the CPU of its insert or merge. A merge
-- costs a row as much as its insert: only ten like parts are worth one, and few parts more do not
-- slow a search that reads from the newest on. Nothing plans by statistics of columns; left on, each
-- merge would sketch all of them.
CREATE TABLE IF NOT EXISTS events
(
  tenant LowCardinality(String),
  occurred DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  event_id String CODEC(ZSTD(1)),
  user String CODEC(ZSTD(1)),
  role LowCardinality(String),
  on_behalf_of String CODEC(ZSTD(1)),
  action LowCardinality(String),
  result LowCardinality(String) DEFAULT 'unknown',
  resource String CODEC(ZSTD(1)),
  resource_id String CODEC(ZSTD(1)),
  ip_address IPv6 CODEC(ZSTD(1)),
  user_agent String CODEC(ZSTD(1)),
  session_id String CODEC(ZSTD(1)),
  request_id String CODEC(ZSTD(1)),
  source LowCardinality(String),
  reason String CODEC(ZSTD(1)),
  details_masked String CODEC(ZSTD(1)),
  category LowCardinality(String),
  verb LowCardinality(String),
  changed Array(LowCardinality(String)),
  before Array(String) CODEC(ZSTD(1)),
  after Array(String) CODEC(ZSTD(1)),
  geo_country LowCardinality(String),
  geo_asn UInt32 CODEC(ZSTD(1)),
  geo_as_name LowCardinality(String),
  client LowCardinality(String),
  department LowCardinality(String),
  user_status LowCardinality(String),
  data_class LowCardinality(String),
  retention_class LowCardinality(String),
  retain_until Date32 CODEC(ZSTD(1)),
  severity LowCardinality(String) DEFAULT 'info',
  risk_score UInt8 CODEC(ZSTD(1)),
  flags Array(LowCardinality(String)),
  rules Array(LowCardinality(String)),
  unknown_fields UInt16 CODEC(ZSTD(1)),
  versions LowCardinality(String),
  incarnation LowCardinality(String),
  topic LowCardinality(String),
  partition UInt16 CODEC(ZSTD(1)),
  offset UInt64 CODEC(DoubleDelta, ZSTD(1)),
  recorded DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  raw String CODEC(ZSTD(1)),
  stored DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
  batch_deadline DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
  replayed UInt8 DEFAULT 0 CODEC(ZSTD(1)),
  details String ALIAS if(details_masked = '', JSONExtractRaw(raw, 'details'), details_masked),
  INDEX ix_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_user user TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_resource resource TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_resource_id resource_id TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_session session_id TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_ip ip_address TYPE bloom_filter(0.01) GRANULARITY 8,
  INDEX ix_occurred occurred TYPE minmax GRANULARITY 1,
  INDEX ix_offset offset TYPE minmax GRANULARITY 1,
  INDEX ix_recorded recorded TYPE minmax GRANULARITY 1,
  INDEX ix_replayed replayed TYPE minmax GRANULARITY 1,
  CONSTRAINT writer_is_fresh CHECK batch_deadline >= now(),
  CONSTRAINT tenant_present CHECK tenant != ''
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(recorded)
ORDER BY (intDiv(toUnixTimestamp64Micro(occurred), 60000000), tenant, user, occurred, partition, offset)
SETTINGS index_granularity = 1024, min_compress_block_size = 16384,
  string_serialization_version = 'single_stream', min_bytes_for_wide_part = 268435456,
  merge_selector_base = 12, min_parts_to_merge_at_once = 10, merge_max_block_size = 1024,
  auto_statistics_types = '',
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS quarantine
(
  reason LowCardinality(String),
  hint LowCardinality(String),
  size UInt32 CODEC(ZSTD(1)),
  versions LowCardinality(String),
  incarnation LowCardinality(String),
  topic LowCardinality(String),
  partition UInt16 CODEC(ZSTD(1)),
  offset UInt64 CODEC(DoubleDelta, ZSTD(1)),
  recorded DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
  raw_base64 String EPHEMERAL,
  raw String DEFAULT base64Decode(raw_base64) CODEC(ZSTD(3)),
  stored DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(DoubleDelta, ZSTD(1)),
  batch_deadline DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
  INDEX ix_offset offset TYPE minmax GRANULARITY 1,
  CONSTRAINT writer_is_fresh CHECK batch_deadline >= now()
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(recorded)
ORDER BY (recorded, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- What is still to be cured: rows that no replay has moved to events.
CREATE VIEW IF NOT EXISTS quarantine_open AS
SELECT * FROM quarantine
WHERE (incarnation, topic, partition, offset) NOT IN
  (SELECT incarnation, topic, partition, offset FROM events WHERE replayed = 1);

-- One row a batch, written after its rows and before its offsets are committed. The content is a
-- function of the batch, so a repeat replaces its like.
CREATE TABLE IF NOT EXISTS batches
(
  incarnation LowCardinality(String),
  topic LowCardinality(String),
  partition UInt16,
  origin_from UInt64,
  origin_next UInt64,
  record_first UInt64,
  record_last UInt64,
  rows_stored UInt32,
  rows_quarantined UInt32,
  gaps UInt32,
  repeats UInt32,
  bytes UInt64,
  token String,
  content_xxh UInt64,
  recorded_min DateTime64(3, 'UTC'),
  recorded_max DateTime64(3, 'UTC'),
  sink LowCardinality(String),
  generation Int32,
  written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (incarnation, topic, partition, origin_from)
SETTINGS merge_selector_base = 12, min_parts_to_merge_at_once = 10, auto_statistics_types = '',
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- The same finding has the same alert_id; of its repeats the one stored first stays.
CREATE TABLE IF NOT EXISTS alerts
(
  alert_id String,
  rule_id LowCardinality(String),
  rule_version UInt16,
  title String,
  severity LowCardinality(String),
  tenant LowCardinality(String),
  group String,
  summary String CODEC(ZSTD(1)),
  runbook String CODEC(ZSTD(1)),
  tags Array(LowCardinality(String)),
  user String,
  action LowCardinality(String),
  resource String,
  ip_address String,
  session_id String,
  event_ids Array(String),
  event_count UInt32,
  occurred DateTime64(6, 'UTC'),
  recorded DateTime64(3, 'UTC'),
  historical Bool,
  partition UInt16,
  offset UInt64,
  stored DateTime64(3, 'UTC') DEFAULT now64(3),
  precedence UInt64 MATERIALIZED 9223372036854775807 - toUnixTimestamp64Milli(stored),
  INDEX ix_alert_id alert_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(recorded)
ORDER BY (tenant, recorded, alert_id)
SETTINGS non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- One row an attempt to tell one target of one alert; a target's name holds no secret.
CREATE TABLE IF NOT EXISTS deliveries
(
  alert_id String,
  target LowCardinality(String),
  attempt UInt16,
  at DateTime64(3, 'UTC'),
  outcome Enum8('delivered' = 1, 'failed' = 2, 'given_up' = 3, 'suppressed' = 4),
  error LowCardinality(String),
  next_at DateTime64(3, 'UTC'),
  stored DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY (alert_id, target, attempt)
SETTINGS non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1, fsync_part_directory = 1;

-- The sink tries its guards here before it trusts the server with events.
CREATE TABLE IF NOT EXISTS canaries
(
  id String,
  batch_deadline DateTime('UTC'),
  CONSTRAINT writer_is_fresh CHECK batch_deadline >= now()
)
ENGINE = MergeTree
ORDER BY id
TTL batch_deadline + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 1000;
