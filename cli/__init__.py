"""The `audit` command: where the parts are put together."""
