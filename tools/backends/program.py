"""Runs a model on the current Keras backend, as another process asks.

`tools.backends.process` starts `python -m tools.backends.program CONNECTION`
with `KERAS_BACKEND` set. It imports nothing that needs TensorFlow.
"""

import sys
import time
from multiprocessing.connection import Connection

import keras
import numpy as np

from distill.models import saved_classes  # noqa: F401
from distill.models.preprocessing import preprocess
from distill.models.raw_video_model import RawVideoModel, fill_up
from distill.reporting.timing import time_interleaved
from distill.settings.training import TrainingSettings
from distill.training.label_loss import make_label_loss
from tools.process_memory import peak_bytes

Arrays = dict[str, np.ndarray]


class TrainedModel(keras.Model):
    """Maps stored videos to predictions, and trains.

    Args:
      raw_model: The same model as evaluation runs it. Its frame selection is
        left out: it gets the selected frames.
    """

    def __init__(self, raw_model: RawVideoModel):
        super().__init__()
        self.model = raw_model.model
        self.num_frames = raw_model.model_frames
        self.value_range = raw_model.value_range

    def call(self, inputs, training=False):
        """Returns the predictions `[batch, classes]` of stored videos."""
        filled = fill_up(inputs, self.num_frames)
        read = preprocess(filled, self.value_range)
        return self.model(read, training=training)["predictions"]


class LabelLoss(keras.losses.Loss):
    """The loss against labels that the settings of a training name."""

    def __init__(self, training: TrainingSettings):
        super().__init__()
        self._label_loss = make_label_loss(training)

    def call(self, y_true, y_pred):
        """Returns the losses `[batch]`, whose mean Keras takes."""
        return self._label_loss(y_true, y_pred)


class ModelRunner:
    """The model of this process. Arguments and results are picklable."""

    def load(self, path: str) -> None:
        """Loads the `.keras` file of a model from stored videos."""
        keras.backend.clear_session()
        self._model = keras.models.load_model(path, compile=False)
        self._model.compile(jit_compile=_compiles())

    def predict(self, inputs: Arrays) -> np.ndarray:
        """Returns the predictions `[batch, classes]` of stored videos."""
        return np.asarray(self._model.predict_on_batch(inputs))

    def prepare_training(self, training: TrainingSettings) -> None:
        """Prepares steps of Adam on the label loss and the weight penalties.

        Of the settings it uses the label loss and its options, the base
        learning rate, `adam_epsilon` and `clip_gradient_norm`.
        """
        self._trained = TrainedModel(self._model)
        self._trained.compile(
            optimizer=keras.optimizers.Adam(
                training.base_learning_rate,
                epsilon=training.adam_epsilon,
                clipnorm=training.clip_gradient_norm or None,
            ),
            loss=LabelLoss(training),
            jit_compile=_compiles(),
        )

    def train(self, inputs: Arrays, labels: np.ndarray) -> tuple[float, float]:
        """Trains one step on stored videos with labels `[batch, classes]`.

        Returns:
          The loss before the step, and the seconds that the step took.
        """
        # Keras returns the mean of the losses since the last reset.
        self._trained.reset_metrics()
        start = time.perf_counter()
        loss = float(self._trained.train_on_batch(inputs, labels))
        return loss, time.perf_counter() - start

    def time(
        self, inputs: Arrays, labels: np.ndarray, repeats: int
    ) -> dict[str, float]:
        """Returns the median seconds of calls of `predict` and `train`."""
        return time_interleaved(
            {
                "forward": lambda: self.predict(inputs),
                "gradient_step": lambda: self.train(inputs, labels),
            },
            repeats,
        )

    def device(self) -> str:
        """Returns the device of the model's weights: `GPU` or `CPU`."""
        name = str(self._model.weights[0].value.device).lower()
        return "GPU" if "gpu" in name or "cuda" in name else "CPU"

    def peak_bytes(self) -> int:
        """Returns the largest resident memory of this process so far."""
        return peak_bytes()


def _compiles() -> bool:
    """Returns whether XLA compiles: under JAX, which is slow without."""
    return keras.backend.backend() == "jax"


def serve(connection: Connection) -> None:
    """Answers calls `(method, arguments)` until the other end closes."""
    runner = ModelRunner()
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        connection.send(getattr(runner, method)(*arguments))


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
