"""A network as the stages use it: a model and the frames it sees."""

import dataclasses
import functools

import keras

from distill.data.schema import DataSchema
from distill.settings import NetworkSettings
from distill.tracing import AnyBatchSize
from models import registry
from models.frame_selection import num_selected, select_every_n
from models.preprocessing import preprocess
from models.size_list import parse_sizes


@dataclasses.dataclass(frozen=True)
class Network:
    """A built model with its frame budget.

    Attributes:
      model: From preprocessed inputs to `embedding` and `predictions`.
      settings: What it was built from.
      max_frames: The most frames of a video that the model sees.
    """

    model: keras.Model
    settings: NetworkSettings
    max_frames: int

    def select(self, inputs):
        """Returns the inputs with only the frames this network sees.

        Args:
          inputs: Videos as read, or with these frames selected in reading,
            which are as many as `max_frames`.
        """
        if "frames" in inputs and inputs["frames"].shape[1] == self.max_frames:
            return inputs
        return select_every_n(inputs, self.settings.every_n)

    def predict(self, inputs):
        """Returns `predictions` `[batch, classes]` of videos as read."""
        inputs = preprocess(self.select(inputs))
        return self.model(inputs, training=False)["predictions"]

    @functools.cached_property
    def compiled_predict(self) -> AnyBatchSize:
        """`predict` as one graph for batches of any size."""
        return AnyBatchSize(self.predict)

    @property
    def embedding_size(self) -> int:
        """Width of the embedding, which the classifier reads."""
        return self.model.classifier.weights[0].shape[0]

    @property
    def num_parameters(self) -> int:
        """How many numbers the model's weights hold."""
        return self.model.count_params()

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one video of the greatest length."""
        return self.model.multiply_adds(self.max_frames)


def video_inputs(batch):
    """Returns what a model reads of a batch: no ids, labels, positions."""
    keys = ("frames", "num_frames", "features")
    return {key: batch[key] for key in keys if key in batch}


def check_network(settings: NetworkSettings, schema: DataSchema) -> None:
    """Checks that a network's model fits the level of the data.

    Raises:
      ValueError: The model is unknown, or reads frames where the records hold
        one vector a video, or the other way round.
    """
    level = "frame" if schema.frame_features else "video"
    entry = registry.get_entry(settings.model)
    if entry.level != level:
        raise ValueError(
            f"{settings.model} reads {entry.level}-level data, but "
            f"--frame_features={schema.frame_features} says that the records "
            f"are {level}-level."
        )


def build_network(
    settings: NetworkSettings,
    schema: DataSchema,
    name: str,
    precision: str = "float32",
) -> Network:
    """Builds a network with fresh weights.

    Args:
      settings: The architecture and the frame budget.
      schema: The layout of the data: feature widths, classes, frames.
      name: `teacher` or `student`.
      precision: `float32` or `bfloat16`: what it computes in.

    Raises:
      ValueError: The settings do not fit one another or the data.
    """
    check_network(settings, schema)
    max_frames = num_selected(schema.max_frames, settings.every_n)
    feature_sizes = schema.feature_sizes
    if settings.encoder_sizes:
        feature_sizes = parse_sizes("encoder_sizes", settings.encoder_sizes)
        feature_sizes = (feature_sizes[-1],)
    model = registry.build_model(
        settings.model,
        arguments=settings.arguments,
        num_classes=schema.num_classes,
        feature_sizes=feature_sizes,
        max_frames=max_frames,
        model_name=name,
        precision=precision,
    )
    model.build(_input_shapes(schema, max_frames, sum(feature_sizes)))
    if settings.encoder_sizes:
        model = registry.add_encoder(
            model, settings.encoder_sizes, settings.freeze_encoder
        )
        model.build(_input_shapes(schema, max_frames, schema.num_features))
    return Network(model, settings, max_frames)


def _input_shapes(schema: DataSchema, max_frames: int, width: int):
    """Returns the shapes of a model's inputs with vectors of a width."""
    if schema.frame_features:
        return {"frames": (None, max_frames, width), "num_frames": (None,)}
    return {"features": (None, width)}
