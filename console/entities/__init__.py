"""One user, address, session or resource: all that the log says of it, and when."""
