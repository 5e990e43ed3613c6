"""The training step, the loop around it and its checkpoints."""
