"""A model of the registry that Keras trains on plain arrays of videos."""

from typing import Any

import keras
from keras import ops

from distill.models import registry
from distill.models.argument_checks import check_choice
from distill.models.presets import SMALL
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class ArrayModel(StoredArguments, keras.Model):
    """From arrays of videos to probabilities, for `fit` and its kin.

    Args:
      model: A model of the registry.
      max_frames: Frames of the longest video, for which the model is built.

    Call arguments:
      inputs: `[batch, max_frames, features]` floats, of real frames alone; or
        dict of such `frames` and of `num_frames` `[batch]` ints: frames at or
        beyond that are padding, without effect. For a video-level model
        `[batch, features]` floats.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      The predictions `[batch, classes]` in [0, 1].

    Raises:
      ValueError: The videos have another number of frames.
    """

    def __init__(self, model: keras.Model, max_frames: int, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.max_frames = max_frames

    def build(self, input_shape):
        """Builds the model for inputs of the shape's last axis, the width."""
        if isinstance(input_shape, dict):
            input_shape = input_shape["frames"]
        if not self.model.built:
            shape: Any = {"features": (None, input_shape[-1])}
            if len(input_shape) == 3:
                frames = (None, self.max_frames, input_shape[-1])
                shape = {"frames": frames, "num_frames": (None,)}
            self.model.build(shape)

    def call(self, inputs, training=False):
        """Returns the predictions."""
        if not isinstance(inputs, dict):
            inputs = self._name(inputs)
        held = inputs["frames"].shape[1] if "frames" in inputs else None
        if held not in (None, self.max_frames):
            raise ValueError(
                f"frames must be [batch, {self.max_frames}, features], got "
                f"{held} frames: pad shorter videos and give num_frames."
            )
        return self.model(inputs, training=training)["predictions"]

    def _name(self, array):
        if len(array.shape) == 2:
            return {"features": array}
        counts = ops.full([ops.shape(array)[0]], self.max_frames, "int32")
        return {"frames": array, "num_frames": counts}


def build_model(
    name: str,
    *,
    num_classes: int,
    feature_sizes: tuple[int, ...],
    max_frames: int,
    preset: str = SMALL,
    **sizes: Any,
) -> ArrayModel:
    """Builds a Keras model for `compile`, `fit`, `evaluate` and `predict`.

    It takes the arrays as they are; `distill train` scales frames to norm 1,
    as `keras.utils.normalize` does. It predicts probabilities: the loss
    `binary_crossentropy` is for labels of 0 and 1 and for another teacher's
    probabilities. To load what `save` wrote in a new process, `import
    distill.models.saved_classes` before `keras.models.load_model`.

    Args:
      name: A model's name; `distill list_models` lists all.
      num_classes: Classes of the predictions `[batch, num_classes]`.
      feature_sizes: Widths of the features of a frame, such as (1024, 128);
        their sum is the width of the arrays.
      max_frames: Frames of the arrays, those of the longest video.
      preset: Gives the other sizes: `small`, or `paper`, the references'.
      **sizes: Sizes of the model and of its classifier by their flags' names,
        such as `netvlad_cluster_size=16`.

    Returns:
      A built model of `[batch, max_frames, features]` floats, or of a dict of
      such `frames` and `num_frames` `[batch]` ints, the real frames of each
      video; of `[batch, features]` for a video-level model.

    Raises:
      ValueError: The name or a size is unknown, or a value is not accepted.

    Examples:
      >>> model = distill.build_model(
      ...     "GruModel", num_classes=5, feature_sizes=(8,), max_frames=20
      ... )
      >>> model.compile("adam", "binary_crossentropy")
      >>> frames, labels = np.ones((4, 20, 8)), np.eye(5)[[0, 1, 2, 3]]
      >>> history = model.fit(frames, labels, verbose=0)
      >>> model.predict(frames, verbose=0).shape
      (4, 5)
    """
    arguments = registry.resolve_arguments(name, sizes, preset)
    for size in sizes:
        check_choice(f"size of {name}", size, arguments)
    model = registry.build_model(
        name,
        arguments=arguments,
        num_classes=num_classes,
        feature_sizes=feature_sizes,
        max_frames=max_frames,
    )
    built = ArrayModel(model, max_frames)
    frames = [max_frames] if registry.get_entry(name).level == "frame" else []
    built.build((None, *frames, sum(feature_sizes)))
    return built
