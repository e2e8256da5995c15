"""The console's pages: rendered here, readable without JavaScript, each also as JSON and CSV."""
