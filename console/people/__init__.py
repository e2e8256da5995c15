"""People: accounts, sessions, tokens, one-time login links, and the login at a provider."""
