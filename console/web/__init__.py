"""The web service: who may come in, what every answer has in common, and errors."""
