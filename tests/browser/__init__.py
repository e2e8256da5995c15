"""The console in a real browser: pages, questions, keys, both widths and themes."""
