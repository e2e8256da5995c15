"""Rules with a memory: correlations and behaviours, as pure functions of their signals."""
