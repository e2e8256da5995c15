-- Exports that run in the background: what was asked by whom, how far it is, what came out.
-- `pieces`, `rows` and `bytes` are the checkpoint: what of the file is on disk for sure.
CREATE TABLE exports (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'expired')),
  name TEXT NOT NULL,
  roles TEXT NOT NULL,
  scope TEXT,
  tenant TEXT,
  client TEXT NOT NULL,
  key TEXT NOT NULL,
  asked TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  started_ms INTEGER,
  finished_ms INTEGER,
  expires_ms INTEGER,
  snapshot TEXT,
  plan TEXT,
  rows_total INTEGER,
  bytes_about INTEGER,
  pieces INTEGER NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  busy_ms INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  is_cancelled INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  file TEXT,
  sha256 TEXT,
  manifest_sha256 TEXT
);
CREATE INDEX exports_by_time ON exports (created_ms);
