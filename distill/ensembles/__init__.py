"""Ensembles: several networks as one."""
