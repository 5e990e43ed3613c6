"""Console tables, pages and timings that all reports share."""
