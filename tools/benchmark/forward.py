"""Predictions of the full-size hierarchical LSTM, beside their floor.

Runs on any Keras backend: it needs Keras, NumPy and the models alone.
"""

import dataclasses

import keras
import numpy as np

from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.preprocessing import preprocess
from distill.reporting.timing import time_interleaved
from tools.benchmark.machine import MatrixProduct
from tools.benchmark.plain_networks import run_block_by_block
from tools.benchmark.timing import Row

MODEL = "HierarchicalLstmModel"
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The network and the batch that are timed.

    Attributes:
      batch_size: Videos a batch.
      max_frames: Frames of a video.
      feature_sizes: Widths of a frame's features.
      num_classes: Classes.
      cells: Cells of every LSTM layer.
      teacher_blocks: Blocks of the teacher, which sees every frame.
      student_blocks: Blocks of the student.
      every_n: The student sees every n-th frame.
    """

    batch_size: int = 32
    max_frames: int = 300
    feature_sizes: tuple[int, ...] = (1024, 128)
    num_classes: int = 3862
    cells: int = 1024
    teacher_blocks: int = 20
    student_blocks: int = 5
    every_n: int = 10


class Predictor(keras.Model):
    """Videos as read to predictions.

    Args:
      model: A built hierarchical LSTM.
      budget: The frames that the model sees.
      plainly: Whether it is run block by block.
    """

    def __init__(
        self, model: keras.Model, budget: FrameBudget, plainly: bool = False
    ):
        super().__init__()
        self.model = model
        self.budget = budget
        self.plainly = plainly

    def call(self, inputs):
        """Returns `[batch, classes]`."""
        inputs = preprocess(select_frames(inputs, self.budget))
        if self.plainly:
            return run_block_by_block(self.model, inputs)["predictions"]
        return self.model(inputs)["predictions"]


def build_model(sizes: Sizes, role: str, precision: str = "float32"):
    """Returns the built `teacher` or `student`."""
    every_n, blocks = {
        "teacher": (1, sizes.teacher_blocks),
        "student": (sizes.every_n, sizes.student_blocks),
    }[role]
    max_frames = FrameBudget.every(every_n).width(sizes.max_frames)
    model = registry.build_model(
        MODEL,
        arguments={"lstm_cells": sizes.cells, "num_inputs_to_lstm": blocks},
        num_classes=sizes.num_classes,
        feature_sizes=sizes.feature_sizes,
        max_frames=max_frames,
        model_name=role,
        precision=precision,
    )
    width = sum(sizes.feature_sizes)
    model.build({"frames": (None, max_frames, width), "num_frames": (None,)})
    return model


def make_batch(sizes: Sizes, shortest: int) -> dict[str, np.ndarray]:
    """Returns videos of lengths spread evenly from `shortest` frames on."""
    rng = np.random.default_rng(0)
    shape = (sizes.batch_size, sizes.max_frames, sum(sizes.feature_sizes))
    lengths = np.linspace(shortest, sizes.max_frames, sizes.batch_size)
    return {
        "frames": rng.integers(0, 256, shape, np.uint8),
        "num_frames": rng.permutation(lengths.round()).astype(np.int32),
    }


def measure_forward(sizes: Sizes, repeats: int) -> list[Row]:
    """Returns the rows of teacher and student, in float32 and bfloat16.

    Raises:
      ValueError: The plain formulation gives other predictions.
    """
    rows = []
    for role, every_n, target in (
        ("teacher", 1, "<= 1.1 x floor"),
        ("student", sizes.every_n, "<= 1.2 x floor"),
    ):
        models = {
            precision: build_model(sizes, role, precision)
            for precision in registry.PRECISIONS
        }
        models["bfloat16"].set_weights(models["float32"].get_weights())
        rows += _measure(sizes, models, role, every_n, repeats, target)
        keras.backend.clear_session()
    return rows


def _measure(sizes, models, role, every_n, repeats, target):
    batch = make_batch(sizes, sizes.max_frames)
    budget = FrameBudget.every(every_n)
    programs: dict[str, keras.Model] = {
        "plain": Predictor(models["float32"], budget, plainly=True)
    }
    programs |= {
        precision: Predictor(model, budget)
        for precision, model in models.items()
    }
    products = {
        f"product {precision}": MatrixProduct(precision) for precision in models
    }
    one = np.zeros((1, 1), np.float32)
    functions = {
        name: _compiled(program, batch) for name, program in programs.items()
    } | {name: _compiled(product, one) for name, product in products.items()}
    check_equal(functions["plain"](), functions["float32"]())
    seconds = time_interleaved(functions, repeats)
    macs = sizes.batch_size * models["float32"].macs(
        budget.width(sizes.max_frames)
    )
    return [
        Row(
            "forward",
            f"{role}, {precision}",
            "ms a batch",
            1e3 * seconds[precision],
            1e3 * seconds["plain"],
            "a call a block",
            1e3
            * macs
            / products[f"product {precision}"].rate(
                seconds[f"product {precision}"]
            ),
            target if precision == "float32" else "",
        )
        for precision in models
    ]


def _compiled(model, inputs):
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return lambda: model.predict_on_batch(inputs)


def check_equal(plain, ours) -> None:
    """Raises a ValueError where two formulations' predictions differ."""
    difference = float(np.abs(np.asarray(plain) - np.asarray(ours)).max())
    if not difference <= _TOLERANCE:
        raise ValueError(
            f"The plain formulation's predictions differ by {difference:.2g}, "
            f"more than {_TOLERANCE:.0g}."
        )
