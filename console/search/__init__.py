"""Search: what is asked of the events, within which bounds, and what is found."""
