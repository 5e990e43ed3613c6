"""Entry points: `python -m scripts.train` and the others."""
