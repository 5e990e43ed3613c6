"""The workshop: benchmark, drills, load test, comparison of backends."""
