"""The workshop: benchmark, drills, attacks, load and soak tests, backends."""
