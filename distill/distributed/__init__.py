"""Devices, worker processes and how they meet."""
