"""A network as a TensorFlow module with named signatures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from distill.data.reasons import GOOD, REASONS
from distill.data.records import parse_records
from distill.deployment.interface import VideoInterface

SERVING = "serving_default"
EXAMPLES = "serialized_examples"
MEDIAPIPE = "mediapipe"
# Names and number of classes are those of the YouTube-8M starter code,
# `export_model.ModelExporter`.
STARTER_CODE = "youtube8m"
STARTER_CODE_CLASSES = 20


class ServingModule(tf.Module):
    """The content of a SavedModel: weights, stored once, and signatures.

    Args:
      model: From a batch of videos as stored to `[batch, classes]`.
      interface: The model's inputs and outputs.
      top_k: Ranked classes of a video.
      half_weights: Whether the weights are stored as float16. They are cast
        to float32 before each use.
    """

    def __init__(
        self,
        model: keras.Model,
        interface: VideoInterface,
        top_k: int,
        half_weights: bool,
    ):
        super().__init__(name="serving")
        self.interface = interface
        self.top_k = min(top_k, interface.schema.num_classes)
        self._names = tf.constant(interface.class_names)
        if half_weights:
            self._predict = self._half_precision_call(model)
        else:
            self.weights = model.variables
            # A module that holds the model itself would save it as well.
            self._predict = lambda inputs: model(inputs)

    def _half_precision_call(
        self, model: keras.Model
    ) -> Callable[[Any], tf.Tensor]:
        def copy(variables):
            values = (variable.value for variable in variables)
            return [
                tf.Variable(
                    tf.cast(v, tf.float16) if v.dtype == tf.float32 else v,
                    trainable=False,
                )
                for v in values
            ]

        def as_float32(variables):
            return [
                tf.cast(v, tf.float32) if v.dtype == tf.float16 else v.value()
                for v in variables
            ]

        self.weights = copy(model.trainable_variables)
        self.other_weights = copy(model.non_trainable_variables)

        def call(inputs):
            predictions, _ = model.stateless_call(
                as_float32(self.weights),
                as_float32(self.other_weights),
                inputs,
                training=False,
            )
            return predictions

        return call

    def signatures(self) -> dict[str, Any]:
        """Returns the concrete functions by the names of the signatures."""
        schema = self.interface.schema
        strings = tf.TensorSpec([None], tf.string, name="examples")
        examples = _trace(self._predict_examples, strings)
        found = {EXAMPLES: examples, STARTER_CODE: self._best_of(examples)}
        if not schema.frame_features:
            vectors = tf.TensorSpec(
                [None, schema.num_features], tf.float32, name="features"
            )
            return found | {SERVING: _trace(self._predict_features, vectors)}
        shape = [None, None, schema.num_features]
        found[SERVING] = _trace(
            self._predict_frames,
            tf.TensorSpec(shape, schema.frame_type, name="frames"),
            tf.TensorSpec([None], tf.int32, name="num_frames"),
        )
        found[MEDIAPIPE] = _trace(
            self._predict_mediapipe,
            tf.TensorSpec(shape, tf.float32, name="rgb_and_audio"),
            tf.TensorSpec([None, 1], tf.int32, name="num_frames"),
        )
        return found

    def _predict_frames(
        self, frames: tf.Tensor, num_frames: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return self._rank(self._predict_padded(frames, num_frames))

    def _predict_features(self, features: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._rank(self._predict({"features": features}))

    def _predict_mediapipe(
        self, rgb_and_audio: tf.Tensor, num_frames: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Predicts dequantised floats, as MediaPipe's YouTube-8M graph asks."""
        return {
            "predictions": self._predict_padded(rgb_and_audio, num_frames[:, 0])
        }

    def _predict_padded(
        self, frames: tf.Tensor, num_frames: tf.Tensor
    ) -> tf.Tensor:
        """Predicts videos padded to any common length."""
        most = self.interface.schema.max_frames
        width = tf.shape(frames)[1]
        checks = [
            tf.debugging.assert_less_equal(
                width, most, f"A video has at most {most} frames here."
            ),
            tf.debugging.assert_less_equal(
                num_frames,
                width,
                "num_frames is larger than the number of frames.",
            ),
            tf.debugging.assert_positive(
                num_frames, "num_frames must be 1 or more."
            ),
        ]
        with tf.control_dependencies(checks):
            frames = tf.pad(frames, [[0, 0], [0, most - width], [0, 0]])
        frames = tf.ensure_shape(frames, [None, most, frames.shape[2]])
        return self._predict({"frames": frames, "num_frames": num_frames})

    def _predict_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        schema = self.interface.schema
        parsed = parse_records(
            examples,
            schema,
            need_labels=False,
            budget=self.interface.reading_budget,
        )
        worst = tf.reduce_max(parsed.pop("reason"))
        check = tf.debugging.Assert(
            worst == GOOD, ["bad record:", tf.gather(REASONS, worst)]
        )
        keys = ("frames", "num_frames", "features")
        inputs = {key: parsed[key] for key in keys if key in parsed}
        with tf.control_dependencies([check]):
            predictions = tf.identity(self._predict(inputs))
        return {"video_id": parsed["id"]} | self._rank(predictions)

    def _best_of(self, predict: Any) -> Any:
        """Returns the starter code's function; it calls that of examples."""
        count = min(STARTER_CODE_CLASSES, self.interface.schema.num_classes)

        def rank(example_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            found = predict(examples=example_bytes)
            best, indexes = tf.math.top_k(found["predictions"], count)
            return {
                "video_id": found["video_id"],
                "class_indexes": indexes,
                "predictions": best,
            }

        return _trace(rank, tf.TensorSpec([None], tf.string, "example_bytes"))

    def _rank(self, predictions: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities, indexes = tf.math.top_k(predictions, self.top_k)
        return {
            "predictions": predictions,
            "class_indexes": indexes,
            "class_names": tf.gather(self._names, indexes),
            "probabilities": probabilities,
        }


def _trace(function: Callable, *signature: tf.TensorSpec) -> Any:
    names = [spec.name for spec in signature]

    def call(*tensors):
        return function(**dict(zip(names, tensors, strict=True)))

    traced = tf.function(call, input_signature=signature, autograph=False)
    return traced.get_concrete_function()


def write_saved_model(
    path: Path,
    model: keras.Model,
    interface: VideoInterface,
    top_k: int,
    half_weights: bool,
) -> None:
    """Writes a SavedModel's directory; `ServingModule` has the arguments."""
    module = ServingModule(model, interface, top_k, half_weights)
    tf.saved_model.save(
        module,
        str(path),
        signatures=module.signatures(),
        # TensorFlow keeps the gradients of all that a process ever loads.
        options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
    )
