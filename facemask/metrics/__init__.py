"""Metrics of face masks."""
