"""The console: search, alerts, quarantine, ledger and doctor, as a REST API."""
