"""The rows of configs/study_audioset.cfg."""

from distill.study.rows import row

# Rows that carry a claim of docs/study.md have three seeds. The others have
# one seed, most of them at k = 2 alone. Plots show highlighted rows in colour.
ONE_SEED = {"seeds": [0]}
ONE_RUN = ONE_SEED | {"budgets": [2]}
LABELS = {"regime": "labels"}
MEANS = {"frame_selection": "segment_means"}
ATTENTION = {"frame_selection": "segment_attention"}
# The best of labels alone. Beside random offsets frame dropout brings nothing.
BEST_OFFSETS = LABELS | {"num_epochs": 14, "random_offset": True}
BEST_MEANS = LABELS | MEANS | {"num_epochs": 14, "frame_dropout": 0.5}
# The published regimes; weights are shares of the label loss.
PUBLISHED = {
    "normalize_terms": True,
    "representation_loss_weight": 0.5,
    "prediction_loss_weight": 0.5,
}
# Teacher and student together, at their best.
JOINT = {
    "regime": "parallel",
    "flagfile": "configs/loss_soft_labels.cfg",
    "num_epochs": 18,
}
SERIAL = {"regime": "serial", "num_teachers": 1}
# Soft labels of a trained teacher, without the label loss.
SOFT_LABELS = SERIAL | {
    "prediction_loss": "cross_entropy",
    "student_label_loss_weight": 0,
    "representation_loss_weight": 0,
}
FROM_TEACHER = SOFT_LABELS | {"start_from_teacher": True}
SOFT_MEANS = FROM_TEACHER | MEANS | {"num_epochs": 14, "frame_dropout": 0.5}
# Another loss in the place of the soft labels, beside the label loss.
OTHER_LOSS = SERIAL | {
    "start_from_teacher": True,
    "random_offset": True,
    "normalize_terms": True,
    "student_label_loss_weight": 0.5,
    "representation_loss_weight": 0,
    "num_epochs": 6,
}
# A tenth of the clips; the teachers saw all.
FEW_CLIPS = {"train_share": 0.1, "ema_half_life": 100}

ROWS = [
    row("Uniform-k, no teacher", **LABELS),
    row(
        "Uniform-k with random offsets, no teacher",
        **BEST_OFFSETS,
        highlight=True,
    ),
    row("Segment means, no teacher", **BEST_MEANS, highlight=True),
    row("Segment attention, no teacher", **BEST_MEANS | ATTENTION | ONE_SEED),
    row(
        "Uniform-k, joint",
        baseline_row="Uniform-k with random offsets, no teacher",
        **JOINT,
        highlight=True,
        random_offset=True,
    ),
    row(
        "Segment means, joint",
        baseline_row="Segment means, no teacher",
        **JOINT,
        **MEANS,
        highlight=True,
    ),
    # Those that learn from soft labels start from the teacher's weights.
    row(
        "Uniform-k, soft labels",
        **FROM_TEACHER,
        random_offset=True,
        **ONE_SEED,
    ),
    row("Segment means, soft labels", **SOFT_MEANS, highlight=True),
    row(
        "Segment attention, soft labels",
        **SOFT_MEANS | ATTENTION,
        highlight=True,
    ),
    row(
        "Segment means, soft labels of three teachers",
        **SOFT_MEANS | {"num_teachers": 3},
        **ONE_SEED,
    ),
    row(
        "Uniform-k, joint, rep + pred + CE",
        regime="parallel",
        **PUBLISHED,
        **ONE_RUN,
    ),
    row(
        "Segment means, joint, rep + pred + CE",
        regime="parallel",
        **PUBLISHED,
        **MEANS,
        **ONE_RUN,
    ),
    row("Random-k", **LABELS, frame_selection="random_k", **ONE_RUN),
    *(
        row(
            name,
            **LABELS,
            frame_selection=name.lower().replace("-", "_"),
            num_epochs=6,
            **ONE_RUN,
        )
        for name in ("First-k", "Middle-k", "Last-k", "First-Middle-Last-k")
    ),
    row(
        "Serial, pred",
        **SERIAL,
        normalize_terms=True,
        representation_loss_weight=0,
        prediction_loss_weight=1,
        **ONE_RUN,
    ),
    row("Serial, rep + pred + CE", **SERIAL, **PUBLISHED, **ONE_RUN),
    row(
        "Two-stage, mimic then labels",
        regime="mimic",
        representation_loss_weight=1,
        then={"num_epochs": 4, "base_learning_rate": 0.0003},
        **ONE_RUN,
    ),
    *(
        row(
            f"From the teacher's weights, {loss}",
            **OTHER_LOSS,
            prediction_loss=loss,
            **ONE_RUN,
        )
        for loss in ("kl", "squared_error", "correlation")
    ),
    row(
        "From the teacher's weights, relational",
        **OTHER_LOSS,
        prediction_loss_weight=0,
        relational_loss_weight=1,
        **ONE_RUN,
    ),
    # One student for all budgets, also as a cascade.
    row(
        "One student for every budget",
        **FROM_TEACHER,
        random_offset=True,
        frame_budget=10,
        fewest_frames=1,
        num_epochs=12,
        **ONE_SEED,
    ),
    row(
        "Segment means, one student for every budget",
        **FROM_TEACHER,
        **MEANS,
        frame_dropout=0.5,
        frame_budget=10,
        fewest_frames=1,
        num_epochs=12,
        **ONE_SEED,
    ),
    row(
        "Uniform-k, no teacher, 10 % of the clips",
        **LABELS,
        **FEW_CLIPS,
        num_epochs=30,
        **ONE_SEED,
    ),
    row(
        "Soft labels, 10 % of the clips",
        baseline_row="Uniform-k, no teacher, 10 % of the clips",
        **SOFT_LABELS,
        **FEW_CLIPS,
        random_offset=True,
        mixup=1,
        num_epochs=40,
        **ONE_SEED,
    ),
]
