"""Forward passes of the hierarchical LSTM, beside their floor.

Runs on any Keras backend.
"""

from collections.abc import Callable

import keras
import numpy as np

from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import select_frames
from distill.models.preprocessing import preprocess
from distill.reporting.timing import time_interleaved
from tools.benchmark.limits import MatrixProduct
from tools.benchmark.plain_networks import run_block_by_block
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row

MODEL = "HierarchicalLstmModel"
_TOLERANCE = 1e-4


class Predictor(keras.Model):
    """Maps stored videos to predictions.

    Args:
      model: A built hierarchical LSTM.
      budget: The frames that the model sees.
      plainly: Run the model block by block.
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


def build_model(
    sizes: Sizes, role: str, precision: str = "float32"
) -> keras.Model:
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
    """Returns videos whose lengths lie evenly from `shortest` to the most."""
    rng = np.random.default_rng(0)
    shape = (sizes.batch_size, sizes.max_frames, sum(sizes.feature_sizes))
    lengths = np.linspace(shortest, sizes.max_frames, sizes.batch_size)
    return {
        "frames": rng.integers(0, 256, shape, np.uint8),
        "num_frames": rng.permutation(lengths.round()).astype(np.int32),
    }


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of teacher and student, in float32 and bfloat16.

    Raises:
      ValueError: The plain formulation gives other predictions.
    """
    rows = []
    for role, every_n, target in (
        ("teacher", 1, "<= 1.1 x floor"),
        ("student", plan.sizes.every_n, "<= 1.2 x floor"),
    ):
        rows += _measure_role(plan, role, FrameBudget.every(every_n), target)
        keras.backend.clear_session()
    return rows


def _measure_role(
    plan: Plan, role: str, budget: FrameBudget, target: str
) -> list[Row]:
    sizes = plan.sizes
    models = {
        precision: build_model(sizes, role, precision)
        for precision in registry.PRECISIONS
    }
    models["bfloat16"].set_weights(models["float32"].get_weights())
    batch = make_batch(sizes, sizes.max_frames)
    one = np.zeros((1, 1), np.float32)
    products = {precision: MatrixProduct(precision) for precision in models}
    plain = Predictor(models["float32"], budget, plainly=True)
    functions = {"plain": _compiled(plain, batch)}
    for precision, model in models.items():
        functions[precision] = _compiled(Predictor(model, budget), batch)
    for precision, product in products.items():
        functions[f"product {precision}"] = _compiled(product, one)
    check_equal(functions["plain"](), functions["float32"]())
    seconds = time_interleaved(functions, plan.repeats)
    macs = sizes.batch_size * models["float32"].macs(
        budget.width(sizes.max_frames)
    )
    rows = []
    for precision, product in products.items():
        rate = product.rate(seconds[f"product {precision}"])
        rows.append(
            Row(
                "forward",
                f"{role}, {precision}",
                "ms a batch",
                1e3 * seconds[precision],
                1e3 * seconds["plain"],
                "a call a block",
                1e3 * macs / rate,
                target if precision == "float32" else "",
            )
        )
    return rows


def _compiled(
    model: keras.Model, inputs: np.ndarray | dict[str, np.ndarray]
) -> Callable[[], np.ndarray]:
    """Returns a function that predicts the inputs."""
    model.compile(jit_compile=keras.backend.backend() == "jax")
    return lambda: model.predict_on_batch(inputs)


def check_equal(plain: np.ndarray, ours: np.ndarray) -> None:
    """Raises a ValueError if the predictions of two formulations differ."""
    difference = float(np.abs(np.asarray(plain) - np.asarray(ours)).max())
    if not difference <= _TOLERANCE:
        raise ValueError(
            f"The plain formulation's predictions differ by {difference:.2g}, "
            f"more than {_TOLERANCE:.0g}."
        )
