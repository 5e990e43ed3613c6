"""The same model under TensorFlow, JAX and PyTorch."""
