"""Files, locks, signals and the errors of writing them."""
