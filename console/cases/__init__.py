"""Cases: events, alerts and notes that belong together, in order."""
