-- Cases: what people put together of an incident. An event or alert is not copied, only named; what
-- is kept of it tells where it lies and, should it be gone one day, what it was.
CREATE TABLE cases
(
  case_id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  title TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('open', 'closed')),
  severity TEXT NOT NULL,
  owner TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  changed_ms INTEGER NOT NULL,
  changed_by TEXT NOT NULL
) STRICT;
CREATE INDEX cases_by_change ON cases (changed_ms, case_id);
CREATE TABLE case_members
(
  case_id TEXT NOT NULL REFERENCES cases (case_id),
  kind TEXT NOT NULL CHECK (kind IN ('event', 'alert')),
  ref TEXT NOT NULL,
  name TEXT NOT NULL,
  occurred_us INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  note TEXT NOT NULL,
  added_ms INTEGER NOT NULL,
  added_by TEXT NOT NULL,
  PRIMARY KEY (case_id, kind, ref)
) STRICT;
CREATE INDEX case_members_by_ref ON case_members (kind, ref);
CREATE TABLE case_notes
(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  case_id TEXT NOT NULL REFERENCES cases (case_id),
  about_us INTEGER NOT NULL,
  text TEXT NOT NULL,
  written_ms INTEGER NOT NULL,
  written_by TEXT NOT NULL
) STRICT;
CREATE INDEX case_notes_by_case ON case_notes (case_id, number);
