"""The impure few that all services share: broker, topics, settings, clock, log, lifecycle."""
