"""The rows of the studies on joined clips, configs/study_joined_*.cfg."""

from distill.study.rows import row

# Rows that only place the others have one seed.
ONE_SEED = {"seeds": [0]}
MEANS = {"frame_selection": "segment_means"}
# Teacher and student together, at their best.
JOINT = {
    "regime": "parallel",
    "flagfile": "configs/loss_soft_labels.cfg",
    "num_epochs": 10,
}

ROWS = [
    row("Uniform-k, no teacher", regime="labels"),
    row(
        "Uniform-k with random offsets, no teacher",
        regime="labels",
        random_offset=True,
        **ONE_SEED,
    ),
    row(
        "Segment means, no teacher", regime="labels", frame_dropout=0.5, **MEANS
    ),
    row("Uniform-k, joint", **JOINT, random_offset=True, **ONE_SEED),
    row("Segment means, joint", **JOINT, **MEANS),
    row(
        "Serial, rep + pred + CE",
        regime="serial",
        normalize_terms=True,
        representation_loss_weight=0.5,
        prediction_loss_weight=0.5,
        **ONE_SEED,
    ),
    row(
        "Soft labels, from the teacher's weights",
        regime="serial",
        start_from_teacher=True,
        random_offset=True,
        prediction_loss="cross_entropy",
        student_label_loss_weight=0,
        representation_loss_weight=0,
        **ONE_SEED,
    ),
]
