"""The console: search, alerts, cases, exports, reports and people, as pages and as a REST API."""
