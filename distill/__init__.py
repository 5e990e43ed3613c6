"""Teacher-student distillation for videos given as frame features."""
