"""What a user may choose of how processes and devices share the work."""

STRATEGIES = ("auto", "single", "mirrored", "multi_worker")
SHARD_BY = ("file", "batch")
ON_NAN = ("stop", "rollback")
