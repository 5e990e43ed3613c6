"""Features of a video's frames and sound, by networks of images and sound."""
