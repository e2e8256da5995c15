-- Views for people with SQL (docs/sql.md). They are a promise: a view's columns keep their names and
-- meaning; what changes that is a new view, _v2. None shows the bytes as published, nor any secret:
-- details are as masked. Canaries and reads of this log are left out, but of reads_v1.
-- Each statement may run twice. Times are UTC.

CREATE VIEW IF NOT EXISTS events_v1 AS
SELECT
  occurred AS timestamp,
  tenant, event_id, user, role, on_behalf_of, action, result, resource, resource_id,
  if(ip_address = toIPv6('::'), '', replaceOne(IPv6NumToString(ip_address), '::ffff:', '')) AS ip_address,
  user_agent, session_id, request_id, source, reason, details,
  category, verb, changed AS changed_paths,
  trimRight(toString(geo_country)) AS country, geo_asn AS asn, geo_as_name AS as_name,
  client, department, user_status, data_class, retention_class, retain_until,
  severity, risk_score, flags, rules,
  partition, offset, recorded, stored
FROM events
WHERE NOT has(flags, 'canary') AND NOT has(flags, 'read');

-- One row a changed value: its path in the details, and the value before and after as JSON.
CREATE VIEW IF NOT EXISTS changes_v1 AS
SELECT timestamp, tenant, event_id, user, action, resource, resource_id, path,
  before_value AS before, after_value AS after
FROM
(
  SELECT occurred AS timestamp, tenant, event_id, user, action, resource, resource_id,
    changed, before, after
  FROM events
  WHERE notEmpty(changed) AND NOT has(flags, 'canary') AND NOT has(flags, 'read')
)
ARRAY JOIN changed AS path, before AS before_value, after AS after_value;

-- One row an alert; canaries are left out.
CREATE VIEW IF NOT EXISTS alerts_v1 AS
SELECT
  occurred AS timestamp,
  tenant, alert_id, if(lead_id = '', alert_id, lead_id) AS group_id, grouped_by,
  rule_id, rule_version, title, severity, summary, why, runbook, tags,
  user, action, resource, ip_address, session_id, event_ids, event_count,
  historical, suppressed_by, recorded, stored
FROM alerts FINAL
WHERE NOT canary;

-- One row a change of an alert's group, in the order of time: status, assignee, note.
CREATE VIEW IF NOT EXISTS alert_changes_v1 AS
SELECT at AS timestamp, tenant, alert_id AS group_id, who, toString(kind) AS kind, before, value
FROM alert_changes;

-- Who read what of this log: for those who may see that.
CREATE VIEW IF NOT EXISTS reads_v1 AS
SELECT
  occurred AS timestamp,
  tenant, event_id, user, role, action,
  if(ip_address = toIPv6('::'), '', replaceOne(IPv6NumToString(ip_address), '::ffff:', '')) AS ip_address,
  session_id,
  JSONExtractString(details, 'kind') AS kind,
  JSONExtractRaw(details, 'query') AS query,
  JSONExtractUInt(details, 'rows') AS rows,
  JSONExtractString(details, 'operator_claimed') AS operator_claimed
FROM events
WHERE has(flags, 'read');

-- Messages that became no event, without their bytes. They belong to no tenant.
CREATE VIEW IF NOT EXISTS quarantine_v1 AS
SELECT recorded AS timestamp, reason, hint, size, partition, offset, versions, stored
FROM quarantine;

-- The batches of the ledger. They belong to no tenant.
CREATE VIEW IF NOT EXISTS batches_v1 AS
SELECT written_at AS timestamp, partition, origin_from, origin_next, rows_stored, rows_quarantined,
  gaps, repeats, bytes, recorded_min, recorded_max
FROM batches FINAL;
