"""Evaluation, inference and files of predictions."""
