-- Audit events of this console that the broker doesn't have yet, as the bytes to publish: secrets
-- are masked, and the event_id is in them, so that a repeat after a crash is known as one.
CREATE TABLE outbox
(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB,
  value BLOB NOT NULL,
  kept_ms INTEGER NOT NULL
) STRICT;
