"""The rows of the studies on joined clips, configs/study_joined_*.cfg."""

from distill.study.rows import row

ROWS = [
    row("Uniform-k, no teacher", regime="labels"),
    row(
        "Serial, rep + pred + CE",
        regime="serial",
        normalize_terms=True,
        representation_loss_weight=0.5,
        prediction_loss_weight=0.5,
    ),
    row(
        "Soft labels, from the teacher's weights",
        regime="serial",
        start_from_teacher=True,
        random_offset=True,
        prediction_loss="cross_entropy",
        student_label_loss_weight=0,
        representation_loss_weight=0,
    ),
]
