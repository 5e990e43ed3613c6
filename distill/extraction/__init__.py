"""Features of frames and sound: networks, PCA, and what joins them."""
