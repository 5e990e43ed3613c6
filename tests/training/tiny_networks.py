"""A teacher and a student of a few cells, and their outputs in NumPy."""

import functools

import keras
import numpy as np
import tensorflow as tf

from distill.data.schema import DataSchema
from distill.networks import build_network
from distill.settings import (
    DistillationSettings,
    NetworkSettings,
    TrainingSettings,
)
from distill.training.distiller import Distiller
from models import registry

MAX_FRAMES, NUM_CLASSES = 6, 4
SCHEMA = DataSchema(
    frame_features=True,
    feature_names=("rgb", "audio"),
    feature_sizes=(3, 2),
    id_key="id",
    labels_key="labels",
    num_classes=NUM_CLASSES,
    max_frames=MAX_FRAMES,
)
TRAINING = TrainingSettings(train_data_pattern="unused", batch_size=5)
BOTH_TERMS = DistillationSettings(
    representation_loss_weight=3.0, prediction_loss_weight=5.0
)
NO_TERMS = DistillationSettings(
    representation_loss_weight=0.0, prediction_loss_weight=0.0
)


def make_network(which, *, seed=0, every_n=1, **arguments):
    """Returns a network whose penalty and gradients are not small."""
    keras.utils.set_random_seed(seed)
    sizes = {
        "lstm_cells": 3,
        "lstm_layers": 1,
        "num_inputs_to_lstm": 3,
        "moe_l2": 0.1,
    }
    settings = NetworkSettings(
        "HierarchicalLstmModel",
        registry.resolve_arguments("HierarchicalLstmModel", sizes | arguments),
        every_n,
    )
    return build_network(settings, SCHEMA, which)


make_teacher = functools.partial(make_network, "teacher", seed=1)
make_student = functools.partial(make_network, "student", seed=2, every_n=2)


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
    inputs = numpy_inputs(batch, network.settings.every_n)
    outputs = network.model(inputs)
    return {
        key: np.asarray(value, np.float64) for key, value in outputs.items()
    }


def numpy_label_loss(labels, predictions):
    losses = labels * np.log(predictions + 1e-5)
    losses += (1 - labels) * np.log(1 - predictions + 1e-5)
    return -losses.sum(axis=1).mean()


def numpy_penalty(network):
    gates, experts, _ = network.model.classifier.get_weights()
    return 0.1 * (np.square(gates).sum() + np.square(experts).sum()) / 2


def numpy_kl(teacher, student):
    teacher = teacher / teacher.sum(axis=1, keepdims=True)
    student = student / student.sum(axis=1, keepdims=True)
    return (teacher * np.log(teacher / student)).sum(axis=1)


def make_pair_distiller(distillation=BOTH_TERMS, training=TRAINING):
    return Distiller(make_student(), training, make_teacher(), distillation)
