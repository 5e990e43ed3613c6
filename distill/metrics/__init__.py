"""Metrics of multi-label video classification, in NumPy alone."""
