"""Data sets: made, downloaded, rewritten and checked."""
