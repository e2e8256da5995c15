"""Detections: pure rules that look at events and say what is worth an alert."""
