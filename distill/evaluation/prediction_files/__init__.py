"""Files of predictions and labels: read, averaged, scored, converted."""
