-- Accounts, their sessions, tokens and one-time login links. Only hashes of secrets are here.
CREATE TABLE accounts (
  name TEXT PRIMARY KEY COLLATE NOCASE,
  display TEXT NOT NULL,
  roles TEXT NOT NULL,
  tenant TEXT,
  subject TEXT UNIQUE,
  password TEXT,
  must_change INTEGER NOT NULL DEFAULT 0,
  disabled INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  last_login_ms INTEGER
) STRICT;
CREATE TABLE sessions (
  hash BLOB PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  account TEXT NOT NULL REFERENCES accounts (name),
  how TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  seen_ms INTEGER NOT NULL,
  client TEXT NOT NULL,
  agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_account ON sessions (account);
CREATE TABLE tokens (
  hash BLOB PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  roles TEXT NOT NULL,
  scope TEXT,
  tenant TEXT,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  used_ms INTEGER,
  used_client TEXT NOT NULL DEFAULT '',
  revoked_ms INTEGER
) STRICT;
CREATE INDEX tokens_owner ON tokens (owner);
CREATE TABLE login_links (
  hash BLOB PRIMARY KEY,
  account TEXT NOT NULL,
  created_by TEXT NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT;
