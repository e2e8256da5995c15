"""Alerts as people work on them: the queue, one with all that is known of it, and changes."""
