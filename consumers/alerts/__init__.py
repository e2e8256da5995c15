"""Alerts: stored once, shown, and brought to the people who must know."""
