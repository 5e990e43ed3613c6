"""An HTTP service for a trained model, in TensorFlow Serving's REST form."""
