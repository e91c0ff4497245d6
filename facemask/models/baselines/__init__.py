"""Baselines: networks that the paper compares with (Table 2)."""
