"""The Sigma engine: rules loaded, compiled to an index, and asked once an event. Pure."""
