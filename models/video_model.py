"""What all models share: a classifier on top, and how it is stored."""

import keras


class VideoModel(keras.Model):
    """A model that ends in a classifier layer.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`, with a
        method `macs()`.
    """

    def __init__(self, classifier: keras.layers.Layer, **kwargs):
        super().__init__(**kwargs)
        self.classifier = classifier
        self.embedding_drop = None

    def drop_embedding(self, share: float) -> None:
        """Drops a share of what the classifier reads in training.

        Called by the constructor of a model that has such a dropout.
        """
        self.embedding_drop = keras.layers.Dropout(
            share, dtype=self.dtype_policy, name="embedding_drop"
        )

    def classify(self, embedding, training):
        """Returns what every model returns.

        Args:
          embedding: `[batch, dim]` floats.
          training: Whether dropout applies.

        Returns:
          Dict of the `embedding`, before dropout, and `predictions`
          `[batch, classes]`.
        """
        read = embedding
        if self.embedding_drop is not None:
            read = self.embedding_drop(embedding, training=training)
        return {"embedding": embedding, "predictions": self.classifier(read)}

    def get_config(self):
        """Returns the classifier as a config and Keras's own arguments."""
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
