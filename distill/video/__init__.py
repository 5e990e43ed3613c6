"""Video files: their frames and their sound, decoded in another process."""
