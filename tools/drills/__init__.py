"""Drills: processes are killed at random, and the results compared."""
