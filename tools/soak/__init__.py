"""Soak tests: serving and training under faults for an hour or more."""
