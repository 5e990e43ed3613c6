"""Rates of the large models on this machine's accelerator, or its processor.

Runs on any Keras backend; batches and weights stay on the device. A training
step counts as three forward passes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES
from distill.models.unrolled_lstm import unrolling
from distill.reporting.machine import accelerator_name
from distill.reporting.timing import time_interleaved
from tools.benchmark.forward import MODEL, Predictor, make_batch
from tools.benchmark.limits import MatrixProduct
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row

_GOAL = ">= 0.4 x baseline"


@dataclasses.dataclass(frozen=True)
class Work:
    """A model to time, in one formulation.

    Attributes:
      name: Its name in the table.
      model: Its name in the registry.
      arguments: Its sizes.
      unrolled: Whether LSTMs are unrolled; without LSTMs of no effect.
    """

    name: str
    model: str
    arguments: dict[str, int]
    unrolled: bool = False


class MeanPredictor(Predictor):
    """Maps stored videos to the means of their predictions.

    The copy of all predictions from the device would be timed too.
    """

    def call(self, inputs):
        """Returns `[batch, 1]`."""
        return ops.mean(super().call(inputs), axis=-1, keepdims=True)


def works(sizes: Sizes) -> Iterator[Work]:
    """Yields the works; with 1024 cells the sizes are the references'."""
    teacher = {
        "lstm_cells": sizes.cells,
        "num_inputs_to_lstm": sizes.teacher_blocks,
    }
    yield Work("teacher, scan", MODEL, teacher)
    yield Work("teacher, unrolled", MODEL, teacher, unrolled=True)
    yield Work(
        "NetVLAD",
        "NetVLADModelLF",
        {
            "netvlad_cluster_size": sizes.cells // 4,
            "netvlad_hidden_size": sizes.cells,
        },
    )
    yield Work(
        "NeXtVLAD",
        "NeXtVLADModel",
        {
            "nextvlad_cluster_size": sizes.cells // 8,
            "nextvlad_hidden_size": 2 * sizes.cells,
        },
    )


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of all works, in float32 and bfloat16."""
    rows = []
    for work in works(plan.sizes):
        for precision in registry.PRECISIONS:
            print(f"  {work.name}, {precision} ...", flush=True)
            rows += _measure_work(plan, work, precision)
            keras.backend.clear_session()
    return rows


def _measure_work(plan: Plan, work: Work, precision: str) -> list[Row]:
    sizes, device = plan.sizes, accelerator_name()
    model = build_work(sizes, work, precision)
    # An accelerator multiplies two matrices of 4096 rows in less time than it
    # takes to start a call.
    size, count = (8, 32) if device else (4, 1)
    product = MatrixProduct(precision, size * sizes.cells, count)
    with unrolling(work.unrolled):
        seconds = time_interleaved(
            {
                "product": _product_call(product),
                "forward": forward_call(model, sizes),
                "training step": training_call(model, sizes),
            },
            plan.repeats,
        )
    rate = product.rate(seconds["product"])
    macs = sizes.batch_size * model.macs(sizes.max_frames)
    rows = []
    for name, passes in (("forward", 1), ("training step", 3)):
        is_goal = (work.model, precision, name) == (
            *(MODEL, "bfloat16", "forward"),
        )
        rows.append(
            Row(
                "accelerator",
                f"{work.name}, {precision}, {name}",
                "G MACs/s",
                1e-9 * passes * macs / seconds[name],
                1e-9 * rate,
                "matrix product",
                target=_GOAL if is_goal else "",
                details={
                    "device": device or "processor",
                    "batch_size": sizes.batch_size,
                    "seconds": seconds[name],
                },
            )
        )
    return rows


def build_work(sizes: Sizes, work: Work, precision: str) -> keras.Model:
    """Returns the built model of a work."""
    model = registry.build_model(
        work.model,
        arguments=work.arguments,
        num_classes=sizes.num_classes,
        feature_sizes=sizes.feature_sizes,
        max_frames=sizes.max_frames,
        precision=precision,
    )
    width = sum(sizes.feature_sizes)
    model.build(
        {"frames": (None, sizes.max_frames, width), "num_frames": (None,)}
    )
    return model


def _compiles() -> bool:
    return keras.backend.backend() == "jax"


def _product_call(product: MatrixProduct) -> Callable[[], Any]:
    product.compile(jit_compile=_compiles())
    one = ops.zeros((1, 1))
    return functools.partial(product.predict_on_batch, one)


def forward_call(model: keras.Model, sizes: Sizes) -> Callable[[], Any]:
    """Returns a function that predicts a batch of full-length videos."""
    predictor = MeanPredictor(model, ALL_FRAMES)
    predictor.compile(jit_compile=_compiles())
    return functools.partial(predictor.predict_on_batch, _videos(sizes))


def training_call(model: keras.Model, sizes: Sizes) -> Callable[[], Any]:
    """Returns a step of Adam on a batch of full-length videos."""
    predictor = Predictor(model, ALL_FRAMES)
    predictor.compile(
        keras.optimizers.Adam(1e-4, clipnorm=1.0),
        "binary_crossentropy",
        jit_compile=_compiles(),
    )
    shape = (sizes.batch_size, sizes.num_classes)
    labels = np.random.default_rng(1).random(shape) < 3 / sizes.num_classes
    return functools.partial(
        predictor.train_on_batch,
        _videos(sizes),
        ops.convert_to_tensor(labels.astype(np.float32)),
    )


def _videos(sizes: Sizes) -> dict[str, Any]:
    """Returns full-length videos on the device."""
    batch = make_batch(sizes, sizes.max_frames)
    return {name: ops.convert_to_tensor(a) for name, a in batch.items()}
