"""Checkpoints: one HDF5 file each, written, checked, read, converted."""
