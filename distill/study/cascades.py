"""Cascades of a study: each is calibrated, scored and timed once."""

import functools
import itertools
from typing import Any

import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.data.records import parse_records
from distill.data.tfrecords import open_records
from distill.distributed.tracing import BatchPolymorphicFunction
from distill.evaluation.cascade import CascadeNetwork, calibrate
from distill.evaluation.evaluate import evaluate_network
from distill.networks.loading import load_network
from distill.networks.network import video_inputs
from distill.reporting.timing import median_seconds
from distill.study.aggregate import COMPARED_METRICS
from distill.study.plan import CascadePlan, Study, Unit
from distill.study.runner import (
    has_same_inputs,
    list_data,
    read_json,
    read_result,
    read_videos,
    write_json,
)

_BATCH_SIZE = 64
_TIMED_BATCHES = 30
# Of a file: what its result was made of.
_NOTES = {"described", "inputs"}


def gather_cascade(plan: CascadePlan, study: Study) -> dict[str, Any]:
    """Returns a cascade's scores and costs of every trained seed."""
    return {
        "row": plan.row,
        "wanted_mean_frames": plan.mean_frames,
        "runs": [
            {"seed": unit.seed} | _run(plan, unit)
            for unit in study.units
            if unit.row == plan.row and read_result(unit) is not None
        ],
    }


def _run(plan: CascadePlan, unit: Unit) -> dict[str, Any]:
    """Returns the result of a unit's cascade, from its file if it is there."""
    # Files of earlier versions hold times from decoded frames.
    described = repr(("from records", plan, unit.describe()))
    calibration = functools.partial(list_data, plan.calibration_data_pattern)
    path = unit.directory / f"cascade_{plan.mean_frames:g}.json"
    if path.exists():
        kept = read_json(path, "described")
        if kept["described"] == described and has_same_inputs(
            kept, calibration
        ):
            return {n: value for n, value in kept.items() if n not in _NOTES}
    notes = {"described": described, "inputs": calibration()}
    result = _measure(plan, unit)
    write_json(path, result | notes)
    return result


def _measure(plan: CascadePlan, unit: Unit) -> dict[str, Any]:
    network: Any = load_network(unit.checkpoint, "student")
    schema = unit.stages[-1].data
    calibration = read_videos(schema, plan.calibration_data_pattern)
    cascade = calibrate(network, calibration, plan.budgets, plan.mean_frames)
    reader = read_videos(schema, unit.eval_data_pattern)
    run: Any = CascadeNetwork(network, cascade)
    scores = evaluate_network(run, reader)
    mean_frames = run.mean_frames()
    means = network.budget.averages
    return {
        **{name: scores[name] for name in COMPARED_METRICS},
        "frames_needed": run.frames_needed if means else mean_frames,
        "mean_frames": mean_frames,
        "macs": run.mean_macs(),
        "milliseconds": _time(CascadeNetwork(network, cascade), reader),
        "budgets": list(cascade.budgets),
        "thresholds": list(cascade.thresholds),
        "shares": run.shares(),
    }


def _time(run: CascadeNetwork, reader: VideoReader) -> float:
    """Returns the median milliseconds of a video in a batch of 64.

    They pass from records of whole videos to predictions.
    """
    records = itertools.chain.from_iterable(map(open_records, reader.files))
    number = _BATCH_SIZE * (_TIMED_BATCHES + 1)
    chosen = list(itertools.islice(records, number))
    batches = itertools.cycle(
        [
            tf.stack(chosen[first : first + _BATCH_SIZE])
            for first in range(0, len(chosen), _BATCH_SIZE)
        ]
    )
    parse = BatchPolymorphicFunction(
        lambda batch: parse_records(batch, reader.schema, need_labels=False)
    )
    seconds = median_seconds(
        lambda: run.compiled_predict(video_inputs(parse(next(batches)))),
        _TIMED_BATCHES,
    )
    return 1e3 * seconds / _BATCH_SIZE
