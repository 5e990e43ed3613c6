"""Records, their schemas and the way from files to batches."""
