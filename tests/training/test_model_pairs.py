"""Any frame model teaches any other, with embeddings of any width."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.networks.network import build_network
from distill.settings.run import NetworkSettings
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    BOTH_TERMS,
    MAX_FRAMES,
    SCHEMA,
    TRAINING,
    make_batch,
)

SIZES = {
    "HierarchicalLstmModel": {"lstm_cells": 3, "num_inputs_to_lstm": 2},
    "NetVLADModelLF": {"netvlad_cluster_size": 4, "netvlad_hidden_size": 6},
    "NeXtVLADModel": {
        "nextvlad_cluster_size": 4,
        "nextvlad_groups": 2,
        "nextvlad_hidden_size": 8,
        "gating_reduction": 2,
    },
    "DbofModel": {"dbof_cluster_size": 5, "dbof_hidden_size": 7},
}


@functools.cache
def make_network(role, model, every_n):
    """Returns a network, the same one for every pair that it is in."""
    keras.utils.set_random_seed(3 + every_n)
    arguments = registry.resolve_arguments(model, SIZES[model])
    settings = NetworkSettings(model, arguments, FrameBudget.every(every_n))
    return build_network(settings, SCHEMA, role)


def make_pair(teacher, student):
    return Distiller(
        make_network("student", student, every_n=2),
        TRAINING,
        make_network("teacher", teacher, every_n=1),
        BOTH_TERMS,
    )


@pytest.mark.parametrize(
    ("teacher", "student"), list(itertools.product(SIZES, repeat=2))
)
def test_every_pair_learns_in_the_same_steps(eager, teacher, student):
    distiller = make_pair(teacher, student)
    before = [v.numpy() for v in distiller.variables]
    # A bias may get its first gradient in the second step.
    for seed in range(2):
        batch = make_batch(seed=seed)
        batch["num_frames"] = tf.fill([5], MAX_FRAMES)
        terms, predictions = distiller.train_step(batch, 0.01)
    assert all(np.isfinite(value.numpy()) for value in terms.values())
    assert {"representation_loss", "prediction_loss"} <= set(terms)
    for role in ("teacher", "student"):
        assert np.isfinite(predictions[role].numpy()).all()
    changed = [
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, distiller.variables, strict=True)
    ]
    assert all(changed)
    same_width = (
        distiller.teacher.embedding_size == distiller.student.embedding_size
    )
    (projection,) = distiller.terms.projections
    assert (projection is None) == same_width
