-- Saved searches: a name for a query. A tenant of '' is one who reaches all tenants.
CREATE TABLE IF NOT EXISTS searches (
  search_id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  q TEXT NOT NULL,
  columns TEXT NOT NULL,
  shared INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL,
  UNIQUE (owner, tenant, name)
);
CREATE INDEX IF NOT EXISTS ix_searches_tenant ON searches (tenant, shared);
