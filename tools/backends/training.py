"""The same training on every Keras backend: weights, batches and order.

The initial weights are one file that every backend's process loads. The order
of the batches follows from the seed, so that the reader gives every process
the same ones, as NumPy arrays. Dropout is off: the backends draw other random
numbers.
"""

import dataclasses
import itertools
import math
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import evaluate_network
from distill.networks.network import Network, build_network, video_inputs
from distill.reporting.console import progress_bar
from distill.settings.run import NetworkSettings, RunSettings
from tools.backends.evaluation import BackendNetwork, to_arrays, write_model
from tools.backends.process import BackendProcess

# Steps that are not timed: the first ones compile and fill caches.
_WARM_UP_STEPS = 3


@dataclasses.dataclass(frozen=True)
class TrainedBackend:
    """The training of a model on one backend.

    Attributes:
      backend: `tensorflow`, `torch` or `jax`.
      device: The device that computed, `CPU` or `GPU`.
      losses: The loss of each step.
      seconds: The seconds of each step.
      peak_bytes: Largest resident memory of the process while it trained.
      scores: The scores of `evaluate_network` after the last step.
    """

    backend: str
    device: str
    losses: tuple[float, ...]
    seconds: tuple[float, ...]
    peak_bytes: int
    scores: dict[str, Any]

    @property
    def first_step_seconds(self) -> float:
        """Seconds of the first step, which compiles."""
        return self.seconds[0]

    @property
    def step_seconds(self) -> float | None:
        """Median seconds of the later steps; None if there are too few."""
        timed = self.seconds[_WARM_UP_STEPS:]
        return statistics.median(timed) if timed else None

    def loss_differences(self, reference: "TrainedBackend") -> np.ndarray:
        """Returns the absolute difference of each step's loss, `[steps]`."""
        return np.abs(np.subtract(self.losses, reference.losses))


def make_readers(
    settings: RunSettings, eval_data_pattern: str, on_bad_record: str
) -> tuple[VideoReader, VideoReader]:
    """Returns the readers of the videos to train on and to score.

    Raises:
      ValueError: A pattern matches no file, or the records are segments.
    """
    if settings.data.segment_labels:
        raise ValueError("segment_labels: this compares whole videos alone.")
    training = settings.training
    reader = VideoReader(
        settings.data,
        find_files(training.train_data_pattern),
        training.batch_size,
        on_bad_record=on_bad_record,
        share=training.train_share,
    )
    files = find_files(eval_data_pattern)
    return reader, dataclasses.replace(reader, files=files, share=1.0)


def without_random_numbers(settings: NetworkSettings) -> NetworkSettings:
    """Returns the settings with every dropout rate 0.

    Raises:
      ValueError: The model samples frames at random in its graph.
    """
    if sampled := settings.arguments.get("sample_frames"):
        raise ValueError(
            f"sample_frames must be 0 here, got {sampled}: each backend would "
            "draw other frames."
        )
    rates = {name: 0.0 for name in settings.arguments if "dropout" in name}
    arguments = {**settings.arguments, **rates}
    return dataclasses.replace(settings, arguments=arguments)


def build_trained_network(settings: RunSettings) -> Network:
    """Builds the student of a run without dropout, its weights by the seed.

    Raises:
      ValueError: There is no student, or it draws random numbers.
    """
    if settings.student is None:
        raise ValueError("The settings of the training name no student.")
    keras.utils.set_random_seed(settings.training.seed)
    student = without_random_numbers(settings.student)
    return build_network(student, settings.data, "student")


def training_batches(
    settings: RunSettings, reader: VideoReader, steps: int
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Yields the inputs and labels `[batch, classes]` of each step.

    Epoch follows epoch; the last batch of an epoch is left out where it holds
    fewer videos, for which XLA would compile again.

    Raises:
      ValueError: There are fewer videos than a batch holds.
    """
    training = settings.training

    def whole_batches() -> Iterator[Any]:
        for epoch in itertools.count():
            num_batches = 0
            for batch in reader.read_shuffled(
                training.seed, epoch, training.shuffle_buffer_size
            ):
                if len(batch["labels"]) == reader.batch_size:
                    num_batches += 1
                    yield batch
            if not num_batches:
                raise ValueError(
                    f"batch_size must be at most the number of videos to train "
                    f"on, got {reader.batch_size}."
                )

    for batch in itertools.islice(whole_batches(), steps):
        labels = batch["labels"].numpy().astype(np.float32)
        yield to_arrays(video_inputs(batch)), labels


def compare_training(
    settings: RunSettings,
    steps: int,
    training_reader: VideoReader,
    evaluation_reader: VideoReader,
    backends: Sequence[str],
    gpu: int | None = None,
) -> list[TrainedBackend]:
    """Trains a student on every backend, one backend after the other.

    Args:
      settings: Settings of the run; `ModelRunner.prepare_training` names those
        of its training that count.
      steps: Number of steps.
      training_reader: Reads the videos to train on.
      evaluation_reader: Reads those to score the trained student on.
      backends: Installed backends.
      gpu: Index of the GPU; -1 for the CPU; None for the backend's choice.

    Raises:
      ChildProcessError: A backend failed; the message holds its output.
      ValueError: A loss is not finite, or as `build_trained_network`.
    """
    network = build_trained_network(settings)
    budget = network.settings.budget
    reader = dataclasses.replace(training_reader, budget=budget)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(folder, network)
        for backend in backends:
            with BackendProcess(backend, gpu) as process:
                process.call("load", path)
                batches = training_batches(settings, reader, steps)
                fields = _train(process, settings, steps, batches)
                scores = evaluate_network(
                    BackendNetwork.of(network, process),
                    evaluation_reader,
                    label_loss=settings.training.label_loss,
                )
            found.append(TrainedBackend(**fields, scores=scores))
    return found


def _train(
    process: BackendProcess,
    settings: RunSettings,
    steps: int,
    batches: Iterator[tuple[dict[str, np.ndarray], np.ndarray]],
) -> dict[str, Any]:
    """Returns the fields of `TrainedBackend` but the scores."""
    process.call("prepare_training", settings.training)
    losses, seconds = [], []
    with progress_bar(f"{process.backend}: steps", steps) as show:
        for step, (inputs, labels) in enumerate(batches, start=1):
            loss, taken = process.call("train", inputs, labels)
            if not math.isfinite(loss):
                raise ValueError(
                    f"{process.backend}: the loss of step {step} is {loss}; "
                    "try a smaller --base_learning_rate."
                )
            losses.append(loss)
            seconds.append(taken)
            show(step)
    return {
        "backend": process.backend,
        "device": process.call("device"),
        "losses": tuple(losses),
        "seconds": tuple(seconds),
        "peak_bytes": process.call("peak_bytes"),
    }
