"""Settings as frozen dataclasses, each stated once."""
