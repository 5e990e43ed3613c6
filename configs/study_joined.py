"""The rows of the studies on joined clips, configs/study_joined_*.cfg.

Only NetVLADs leave out frames. On held-out joined clips frame dropout brought
a teacher and students of means .007 GAP there, in ten epochs; it cost the
others .004 to .009, in six.
"""

from distill.study.rows import row

# Rows that only place the others train once.
ONE_SEED = {"seeds": [0]}
MEANS = {"frame_selection": "segment_means"}
ATTENTION = {"frame_selection": "segment_attention"}
LABELS = {"regime": "labels"}
# Soft labels of the teacher, from its weights, without the label loss.
SOFT_LABELS = {
    "regime": "serial",
    "start_from_teacher": True,
    "prediction_loss": "cross_entropy",
    "student_label_loss_weight": 0,
    "representation_loss_weight": 0,
}
# Those of configs/loss_soft_labels.cfg, but for its frame dropout.
JOINT = {
    "regime": "parallel",
    "teacher_ema": True,
    "prediction_loss": "cross_entropy",
    "final_distillation_factor": 2,
    "final_label_factor": 0,
    "representation_loss_weight": 0,
    "num_epochs": 16,
}

ROWS = [
    row("Uniform-k, no teacher", **LABELS),
    row(
        "Uniform-k with random offsets, no teacher",
        **LABELS,
        random_offset=True,
        **ONE_SEED,
    ),
    row(
        "Uniform-k, soft labels",
        **SOFT_LABELS,
        random_offset=True,
        **ONE_SEED,
    ),
    row("Segment means, no teacher", **LABELS, **MEANS),
    row("Segment means, soft labels", **SOFT_LABELS, **MEANS),
    row("Segment attention, soft labels", **SOFT_LABELS, **ATTENTION),
    # A joint step takes as long as one of the teacher.
    row(
        "Segment means, joint",
        baseline_row="Segment means, no teacher",
        **JOINT,
        **MEANS,
        budgets=[3],
        **ONE_SEED,
    ),
]
