"""A network as the stages use it: a model and the frames it sees."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction
from distill.models import registry
from distill.models.argument_checks import parse_sizes
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.preprocessing import preprocess
from distill.models.raw_video_model import RawVideoModel, fill_up
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema

Videos = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Network:
    """A built model with its frame budget.

    Attributes:
      model: From preprocessed inputs to `embedding` and `predictions`.
      settings: The settings it was built from.
      max_frames: The most frames of a video that the model accepts.
      budget: The frames it sees at evaluation.
      schema: The layout of the data.
    """

    model: keras.Model
    settings: NetworkSettings
    max_frames: int
    budget: FrameBudget
    schema: DataSchema

    def at_budget(self, budget: FrameBudget) -> "Network":
        """Returns the same network with another budget at evaluation.

        Raises:
          ValueError: The network attends to another number of parts, or to
            none.
        """
        own = self.settings.budget
        if (own.attends or budget.attends) and budget != own:
            raise ValueError(
                f"A network of {own.name} cannot be run with {budget.name}: "
                "segment_attention is part of the network that is trained."
            )
        return dataclasses.replace(self, budget=budget.at_evaluation())

    def of_segments(self) -> "Network":
        """Returns the same network for segments of the videos it reads.

        It reads five frames without padding, as the starter code's does. A
        budget of more frames keeps all five.
        """
        schema = self.schema.of_segments()
        budget = self.budget.of_at_most(schema.max_frames)
        return dataclasses.replace(
            self,
            schema=schema,
            budget=budget,
            max_frames=budget.num_inputs(schema.max_frames),
        )

    def select(self, inputs: Videos) -> Videos:
        """Returns the frames of stored videos that the network trains on."""
        return select_frames(
            inputs, self.settings.budget, self.schema.quantisation_range
        )

    def see(self, videos: Videos) -> Videos:
        """Returns the frames of stored videos that it sees at evaluation."""
        value_range = self.schema.quantisation_range
        return select_frames(videos, self.budget, value_range)

    def predict(self, inputs: Videos) -> tf.Tensor:
        """Returns `predictions` `[batch, classes]` in [0, 1].

        Args:
          inputs: Stored videos, read with `budget`. Fewer frames than the
            model accepts are padded.

        Raises:
          ValueError: There are more frames than the model accepts.
        """
        filled = fill_up(inputs, self.max_frames)
        inputs = preprocess(filled, self.schema.quantisation_range)
        return self.model(inputs, training=False)["predictions"]

    def raw_model(self) -> RawVideoModel:
        """Returns a model that takes stored videos of all frames.

        Raises:
          ValueError: The budget draws frames at random.
        """
        most = self.schema.max_frames
        raw = RawVideoModel(
            self.model,
            self.budget,
            most,
            self.max_frames,
            self.schema.quantisation_range,
            name="raw_video_model",
        )
        raw.build(input_shapes(self.schema, most, self.schema.num_features))
        return raw

    @functools.cached_property
    def compiled_predict(self) -> BatchPolymorphicFunction:
        """`predict` as one graph for batches of any size."""
        return BatchPolymorphicFunction(self.predict)

    def predict_whole(self, videos: Videos) -> tf.Tensor:
        """Returns `predict` of the frames that `budget` selects.

        Args:
          videos: Stored videos of all frames; with `draws` `[batch, budget's
            num_draws]` where the budget draws.
        """
        return self.predict(self.see(videos))

    @functools.cached_property
    def compiled_predict_whole(self) -> BatchPolymorphicFunction:
        """`predict_whole` as one graph for batches of any size."""
        return BatchPolymorphicFunction(self.predict_whole)

    @property
    def embedding_size(self) -> int:
        """Width of the embedding, the input of the classifier."""
        return self.model.classifier.weights[0].shape[0]

    @property
    def num_frames(self) -> int:
        """The most frames of a video that it sees at evaluation."""
        return self.budget.width(self.schema.max_frames)

    @property
    def frames_needed(self) -> int:
        """The most frames of a video that must be there for those it sees."""
        return self.budget.frames_needed(self.schema.max_frames)

    @property
    def num_parameters(self) -> int:
        """Number of values in the model's weights."""
        return self.model.count_params()

    @property
    def macs(self) -> int:
        """MACs of one video of the most frames."""
        inputs = self.budget.num_inputs(self.schema.max_frames)
        return self.model.macs(inputs)


def video_inputs(batch: Videos) -> dict[str, tf.Tensor]:
    """Returns a network's inputs of a batch, without ids, labels, positions."""
    keys = ("frames", "num_frames", "features", "draws")
    return {key: batch[key] for key in keys if key in batch}


def build_network(
    settings: NetworkSettings,
    schema: DataSchema,
    name: str,
    precision: str = "float32",
) -> Network:
    """Builds a network with fresh weights.

    Its name is `teacher` or `student`; it computes in the precision `float32`
    or `bfloat16`.

    Raises:
      ValueError: The model is unknown, its sizes do not fit one another, or
        it reads another level (frames, or one vector a video) than the data.
    """
    level = "frame" if schema.frame_features else "video"
    entry = registry.get_entry(settings.model)
    if entry.level != level:
        raise ValueError(
            f"{settings.model} reads {entry.level}-level data, but "
            f"--frame_features={schema.frame_features} says that the records "
            f"are {level}-level."
        )
    num_frames = settings.budget.width(schema.max_frames)
    max_frames = settings.budget.num_inputs(schema.max_frames)
    feature_sizes = schema.feature_sizes
    if settings.encoder_sizes:
        widths = parse_sizes("encoder_sizes", settings.encoder_sizes)
        feature_sizes = (widths[-1],)
    model = registry.build_model(
        settings.model,
        arguments=settings.arguments,
        num_classes=schema.num_classes,
        feature_sizes=feature_sizes,
        max_frames=num_frames,
        model_name=name,
        precision=precision,
    )
    model.build(input_shapes(schema, num_frames, sum(feature_sizes)))
    if settings.budget.attends:
        model = registry.add_attention(model, num_frames)
        model.build(input_shapes(schema, max_frames, sum(feature_sizes)))
    if settings.encoder_sizes:
        model = registry.add_encoder(
            model, settings.encoder_sizes, settings.freeze_encoder
        )
        model.build(input_shapes(schema, max_frames, schema.num_features))
    budget = settings.budget.at_evaluation()
    return Network(model, settings, max_frames, budget, schema)


def input_shapes(
    schema: DataSchema, max_frames: int, width: int
) -> dict[str, Any]:
    """Returns the shapes of a model's inputs, of features of a width."""
    if schema.frame_features:
        return {"frames": (None, max_frames, width), "num_frames": (None,)}
    return {"features": (None, width)}


def measure_network(settings: NetworkSettings, schema: DataSchema) -> Network:
    """Returns a network to measure, built in a graph that allocates no weights.

    Raises:
      ValueError: The settings do not fit one another or the data.
    """
    with tf.Graph().as_default():
        return build_network(settings, schema, "student")
