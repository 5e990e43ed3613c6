"""Settings of runs of every regime, few of which are the defaults."""

from distill.models.frame_budget import FrameBudget
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import make_schema
from distill.settings.training import DistillationSettings, TrainingSettings

RANDOM_BUDGET = FrameBudget(
    "uniform_k", num_frames=4, random_offset=True, fewest_frames=2
)


def make_settings(**fields):
    """Returns a joint run's settings, few of which are the defaults."""
    joint = {
        "data": make_schema("audioset"),
        "teacher": NetworkSettings("MoeModel", {"moe_l2": 0.5}),
        "student": NetworkSettings(
            "HierarchicalLstmModel",
            {"lstm_cells": 8, "dropout": 0.5, "input_batch_norm": False},
            FrameBudget.every(5),
        ),
        "training": TrainingSettings(
            train_data_pattern="a*,b*",
            batch_size=7,
            num_epochs=2,
            max_steps=11,
            label_loss="HingeLoss",
            optimizer="SGD",
            base_learning_rate=0.25,
            learning_rate_decay=0.5,
            learning_rate_decay_examples=100,
            clip_gradient_norm=0.0,
            regularization_penalty=0.0,
            seed=3,
            shuffle_buffer_size=9,
            class_weights_file="weights.txt",
            mixed_precision="bfloat16",
            ema_half_life=1.5,
            mixup=0.25,
            train_share=0.1,
        ),
        "distillation": DistillationSettings(
            teacher_label_loss_weight=0.5,
            student_label_loss_weight=0.25,
            representation_loss_weight=2.0,
            prediction_loss_weight=3.0,
            prediction_loss="cross_entropy",
            prediction_loss_reduction="sum",
            relational_loss_weight=0.125,
            representation_loss="normalized_distance",
            temperature=4.0,
            normalize_terms=True,
            final_distillation_factor=0.0,
            final_label_factor=2.0,
        ),
        "initial_checkpoint": "runs/student.h5",
    }
    return RunSettings(**joint | fields)


def make_training(**fields):
    return TrainingSettings(train_data_pattern="x", **fields)


ALONE = {"teacher": None, "distillation": None}
SERIAL = {"teacher": None, "teacher_checkpoints": ("a.h5", "b.h5")}
