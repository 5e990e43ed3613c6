"""Networks for videos given as frame features: Keras 3, any backend."""
