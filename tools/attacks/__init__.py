"""Attacks: damaged files, failing calls, lost workers and bad clients."""
