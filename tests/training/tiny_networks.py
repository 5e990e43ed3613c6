"""A teacher and a student of a few cells, their batches and outputs."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from distill.checkpoints.checkpoint import weight_names, write_checkpoint
from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.distiller import Distiller
from tests.data.record_files import FRAME_SCHEMA

MAX_FRAMES, NUM_CLASSES = 6, 4
SCHEMA = dataclasses.replace(
    FRAME_SCHEMA, num_classes=NUM_CLASSES, max_frames=MAX_FRAMES
)
VIDEO_SCHEMA = dataclasses.replace(
    SCHEMA,
    frame_features=False,
    feature_names=("mean_rgb",),
    feature_sizes=(5,),
    max_frames=1,
)
TRAINING = TrainingSettings(train_data_pattern="unused", batch_size=5)
BOTH_TERMS = DistillationSettings(
    representation_loss_weight=3.0, prediction_loss_weight=5.0
)


def network_settings(budget=ALL_FRAMES, **arguments):
    """Returns a network whose penalty and gradients are not small."""
    sizes = {
        "lstm_cells": 3,
        "lstm_layers": 1,
        "num_inputs_to_lstm": 3,
        "moe_l2": 0.1,
    }
    return NetworkSettings(
        "HierarchicalLstmModel",
        registry.resolve_arguments("HierarchicalLstmModel", sizes | arguments),
        budget,
    )


def make_network(role, *, seed=0, budget=ALL_FRAMES, **arguments):
    """Returns a network with the weights of a seed."""
    keras.utils.set_random_seed(seed)
    return build_network(network_settings(budget, **arguments), SCHEMA, role)


make_teacher = functools.partial(make_network, "teacher", seed=1)
make_student = functools.partial(
    make_network, "student", seed=2, budget=FrameBudget.every(2)
)


def make_video_level(role, name, **arguments):
    """Returns a network of video-level data, which is traced at once."""
    arguments = registry.resolve_arguments(name, arguments)
    return build_network(NetworkSettings(name, arguments), VIDEO_SCHEMA, role)


def run_settings(student=None, training=TRAINING, **fields):
    """Returns a run's settings, by default of the student that sees a half."""
    if student is None:
        student = network_settings(FrameBudget.every(2))
    return RunSettings(SCHEMA, student, training, **fields)


def write_trained(path, network, average=None):
    """Writes the checkpoint of a network that was trained alone."""
    groups = {"student": weight_names(network.model)}
    half_life = 0.0
    if average is not None:
        groups["student_ema"] = weight_names(average.model)
        half_life = 5.0
    training = dataclasses.replace(TRAINING, ema_half_life=half_life)
    settings = run_settings(network.settings, training)
    write_checkpoint(path, groups, settings, {"step": 1})
    return str(path)


def make_batch(batch_size=5, seed=0):
    """Returns a batch as the pipeline gives it."""
    rng = np.random.default_rng(seed)
    shape = (batch_size, MAX_FRAMES, SCHEMA.num_features)
    batch = {
        "id": np.array([b"video"] * batch_size),
        "frames": rng.integers(0, 256, shape, dtype=np.uint8),
        "num_frames": rng.integers(1, MAX_FRAMES + 1, batch_size, np.int32),
        "labels": rng.random((batch_size, NUM_CLASSES)) < 0.4,
    }
    return {key: tf.constant(array) for key, array in batch.items()}


def numpy_inputs(batch, every_n):
    """Selects, dequantises and normalises one frame after another."""
    frames = batch["frames"].numpy()[:, ::every_n] * (4 / 255) + 4 / 512 - 2
    frames /= np.linalg.norm(frames, axis=2, keepdims=True)
    num_frames = np.maximum(batch["num_frames"].numpy() // every_n, 1)
    for video, count in zip(frames, num_frames, strict=True):
        video[count:] = 0
    return {"frames": frames.astype(np.float32), "num_frames": num_frames}


def numpy_outputs(network, batch):
    """Returns a network's embedding and predictions, in float64."""
    inputs = numpy_inputs(batch, network.budget.every_n)
    outputs = network.model(inputs)
    return {
        key: np.asarray(value, np.float64) for key, value in outputs.items()
    }


def numpy_penalty(network):
    gates, experts, _ = network.model.classifier.get_weights()
    return 0.1 * (np.square(gates).sum() + np.square(experts).sum()) / 2


def make_pair_distiller(distillation=BOTH_TERMS, training=TRAINING):
    return Distiller(make_student(), training, make_teacher(), distillation)
