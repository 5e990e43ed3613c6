"""A load test of the HTTP service."""
