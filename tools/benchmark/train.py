"""Joint training steps, beside a plain formulation and their floor."""

import functools
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from distill import losses
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.preprocessing import preprocess
from distill.networks.network import Network, build_network
from distill.reporting.timing import time_interleaved
from distill.settings.run import NetworkSettings
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.distiller import Distiller
from tools.benchmark import forward
from tools.benchmark.limits import MatrixProduct, MemoryCopy
from tools.benchmark.plain_networks import run_block_by_block
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row
from tools.benchmark.videos import make_schema_of

_SHORTEST = 120
# Adam reads a weight, its gradient and its two moments; it writes three.
_BYTES_A_PARAMETER = 28

Batch = dict[str, tf.Tensor]


def build_networks(sizes: Sizes, precision: str) -> dict[str, Network]:
    """Returns the `teacher` and the `student` of the sizes."""
    networks = {}
    for role, every_n, blocks in (
        ("teacher", 1, sizes.teacher_blocks),
        ("student", sizes.every_n, sizes.student_blocks),
    ):
        given = {"lstm_cells": sizes.cells, "num_inputs_to_lstm": blocks}
        arguments = registry.resolve_arguments(forward.MODEL, given)
        networks[role] = build_network(
            NetworkSettings(
                forward.MODEL, arguments, FrameBudget.every(every_n)
            ),
            make_schema_of(sizes),
            role,
            precision,
        )
    return networks


def make_distiller(sizes: Sizes, precision: str) -> Distiller:
    """Returns teacher and student of the sizes for joint training."""
    networks = build_networks(sizes, precision)
    return Distiller(
        networks["student"],
        TrainingSettings("none", batch_size=sizes.batch_size),
        networks["teacher"],
        DistillationSettings(),
    )


class PlainStep:
    """A plain joint step, on a distiller's weights.

    A Python loop reads a network's blocks, each network preprocesses its own
    frames, and Keras's Adam clips and updates.

    Args:
      distiller: Holds the networks and their weights.
    """

    def __init__(self, distiller: Distiller):
        if distiller.teacher is None:
            raise ValueError("A joint step needs a teacher.")
        self.distiller = distiller
        self.teacher, self.student = distiller.teacher, distiller.student
        self.optimizer = keras.optimizers.Adam(1e-3, clipnorm=1.0)
        self.optimizer.build(distiller.variables)
        self._step = tf.function(self._train_step, reduce_retracing=True)

    def train_step(self, batch: Batch) -> tf.Tensor:
        """Changes the weights; returns the loss."""
        return self._step(batch)

    def _train_step(self, batch: Batch) -> tf.Tensor:
        distiller = self.distiller
        with tf.GradientTape() as tape:
            loss, _ = self.loss(batch)
        gradients = tape.gradient(loss, distiller.variables)
        self.optimizer.apply_gradients(
            zip(gradients, distiller.variables, strict=True)
        )
        return loss

    def loss(
        self, batch: Batch
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Returns the loss and each network's predictions."""
        labels = tf.cast(batch["labels"], tf.float32)
        teacher = self._run(self.teacher, batch)
        student = self._run(self.student, batch)
        fixed = {key: tf.stop_gradient(value) for key, value in teacher.items()}
        settings = self.distiller.distillation
        loss = tf.add_n(
            [
                tf.reduce_mean(
                    losses.cross_entropy(labels, outputs["predictions"])
                )
                for outputs in (teacher, student)
            ]
        )
        for network in (self.teacher, self.student):
            loss += tf.add_n(network.model.losses)
        loss += settings.representation_loss_weight * tf.reduce_mean(
            losses.squared_distance(fixed["embedding"], student["embedding"])
        )
        loss += settings.prediction_loss_weight * tf.reduce_mean(
            losses.normalised_kl(fixed["predictions"], student["predictions"])
        )
        return loss, (teacher["predictions"], student["predictions"])

    def _run(self, network: Network, batch: Batch) -> Batch:
        inputs = {key: batch[key] for key in ("frames", "num_frames")}
        inputs = preprocess(network.select(inputs))
        return run_block_by_block(network.model, inputs)


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of the joint step.

    Raises:
      ValueError: The plain formulation gives other predictions.
    """
    distiller = make_distiller(plan.sizes, "float32")
    mixed = make_distiller(plan.sizes, "bfloat16")
    plain = PlainStep(distiller)
    full = make_batch(plan.sizes, plan.sizes.max_frames)
    short = make_batch(plan.sizes, _shortest(plan.sizes))
    check_steps(plain, short)
    products = {name: MatrixProduct(name) for name in registry.PRECISIONS}
    one, copy = np.zeros((1, 1), np.float32), MemoryCopy()
    functions: dict[str, Callable[[], object]] = {
        "plain": lambda: plain.train_step(full).numpy(),
        "full": lambda: _step(distiller, full),
        "short": lambda: _step(distiller, short),
        "mixed": lambda: _step(mixed, full),
        "copy": copy,
    }
    for name, model in products.items():
        functions[name] = functools.partial(model.predict_on_batch, one)
    seconds = time_interleaved(functions, plan.repeats)
    num_weights = sum(int(np.prod(v.shape)) for v in distiller.variables)
    update = num_weights * _BYTES_A_PARAMETER / copy.rate(seconds["copy"])

    def floor(batch: Batch, precision: str) -> float:
        rate = products[precision].rate(seconds[precision])
        return 3 * _macs((plain.teacher, plain.student), batch) / rate + update

    floors = {
        "full": floor(full, "float32"),
        "short": floor(short, "float32"),
        "mixed": floor(full, "bfloat16"),
    }
    return _rows(plan.sizes, seconds, floors)


def _rows(
    sizes: Sizes, seconds: dict[str, float], floors: dict[str, float]
) -> list[Row]:
    return [
        Row(
            "train",
            work,
            "s a step",
            seconds[name],
            seconds[baseline],
            baseline_name,
            floors[name],
            target,
        )
        for name, work, baseline, baseline_name, target in (
            (
                "full",
                f"joint step, all videos {sizes.max_frames} frames",
                "plain",
                "a call a block",
                "<= 1.2 x floor",
            ),
            (
                "short",
                f"joint step, {_shortest(sizes)} to {sizes.max_frames} frames",
                "full",
                "ours, full length",
                "<= 0.85 x baseline",
            ),
            (
                "mixed",
                "joint step in bfloat16",
                "full",
                "ours, float32",
                "<= 0.62 x baseline",
            ),
        )
    ]


def _shortest(sizes: Sizes) -> int:
    return min(_SHORTEST, sizes.max_frames)


def make_batch(sizes: Sizes, shortest: int) -> Batch:
    """Returns videos of lengths from `shortest` frames on, with labels."""
    batch = forward.make_batch(sizes, shortest)
    rng = np.random.default_rng(1)
    shape = (sizes.batch_size, sizes.num_classes)
    batch["labels"] = rng.random(shape) < 3 / sizes.num_classes
    return {key: tf.constant(value) for key, value in batch.items()}


def _macs(networks: Iterable[Network], batch: Batch) -> int:
    """Returns the MACs of the networks on the real frames of a batch."""
    total = 0
    for network in networks:
        every_n = network.budget.every_n
        total += sum(
            network.model.macs(max(int(count) // every_n, 1))
            for count in batch["num_frames"].numpy()
        )
    return total


def _step(distiller: Distiller, batch: Batch) -> np.ndarray:
    terms, _ = distiller.train_step(batch, 1e-3)
    return terms["loss"].numpy()


def check_steps(plain: PlainStep, batch: Batch) -> None:
    """Raises a ValueError if the plain loss or predictions differ from ours."""
    loss, predictions = tf.function(plain.loss)(batch)
    inputs = {key: batch[key] for key in ("frames", "num_frames")}
    terms, ours = tf.function(plain.distiller.loss_terms)(
        inputs, batch["labels"]
    )
    for one, role in zip(predictions, ("teacher", "student"), strict=True):
        forward.check_equal(one, ours[role])
    total = float(tf.add_n(list(terms.values())))
    if abs(total - float(loss)) > 1e-4 * abs(total):
        raise ValueError(
            f"The plain formulation's loss is {float(loss):.6f}, ours "
            f"{total:.6f}."
        )
