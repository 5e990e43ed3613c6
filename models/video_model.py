"""What all models share: a classifier on top, and how it is stored."""

import keras


class VideoModel(keras.Model):
    """A model that ends in a classifier layer.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`, with a
        method `multiply_adds()`.
    """

    def __init__(self, classifier: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        self.classifier = classifier

    def get_config(self):
        """Returns the constructor's arguments, the classifier as a config."""
        classifier = keras.saving.serialize_keras_object(self.classifier)
        # Loading must leave building to this model, which names the weights.
        classifier.pop("build_config", None)
        return super().get_config() | {"classifier": classifier}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model from `get_config`'s result."""
        classifier = keras.saving.deserialize_keras_object(
            config["classifier"], custom_objects=custom_objects
        )
        return cls(**config | {"classifier": classifier})
