"""The rows of configs/study_audioset.cfg."""

from distill.study.rows import row

LABELS = {"regime": "labels"}
# Rows that only place the others have one seed. Those that carry the claims
# of docs/study.md are highlighted.
ONE_SEED = {"seeds": [0]}
# The published regimes; weights are shares of the label loss.
PUBLISHED = {
    "normalize_terms": True,
    "representation_loss_weight": 0.5,
    "prediction_loss_weight": 0.5,
}
SERIAL = {"regime": "serial", "num_teachers": 1}
# Soft labels alone, without the label loss.
SOFT_LABELS = {
    "random_offset": True,
    "prediction_loss": "cross_entropy",
    "student_label_loss_weight": 0,
    "representation_loss_weight": 0,
}
# Another loss in the place of the soft labels, beside the label loss.
OTHER_LOSS = {
    "budgets": [2],
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
    row("Uniform-k, no teacher", **LABELS, highlight=True),
    row(
        "Uniform-k with random offsets, no teacher",
        **LABELS,
        highlight=True,
        random_offset=True,
    ),
    row("Random-k", **LABELS, frame_selection="random_k", **ONE_SEED),
    *(
        row(
            name,
            **LABELS,
            frame_selection=name.lower().replace("-", "_"),
            num_epochs=6,
            **ONE_SEED,
        )
        for name in ("First-k", "Middle-k", "Last-k", "First-Middle-Last-k")
    ),
    row(
        "Parallel, rep + pred + CE", regime="parallel", **PUBLISHED, **ONE_SEED
    ),
    row(
        "Serial, pred",
        **SERIAL,
        normalize_terms=True,
        representation_loss_weight=0,
        prediction_loss_weight=1,
        **ONE_SEED,
    ),
    row("Serial, rep + pred + CE", **SERIAL, **PUBLISHED, **ONE_SEED),
    row(
        "Two-stage, mimic then labels",
        regime="mimic",
        representation_loss_weight=1,
        then={"num_epochs": 4, "base_learning_rate": 0.0003},
        **ONE_SEED,
    ),
    row("Soft labels", **SERIAL, **SOFT_LABELS, **ONE_SEED),
    row(
        "Soft labels, from the teacher's weights",
        **SERIAL,
        **SOFT_LABELS,
        start_from_teacher=True,
        **ONE_SEED,
    ),
    row(
        "Soft labels of four teachers, from the first's weights",
        highlight=True,
        regime="serial",
        **SOFT_LABELS,
        start_from_teacher=True,
    ),
    *(
        row(
            f"From the teacher's weights, {loss}",
            **SERIAL,
            **OTHER_LOSS,
            prediction_loss=loss,
            **ONE_SEED,
        )
        for loss in ("kl", "squared_error", "correlation")
    ),
    row(
        "From the teacher's weights, relational",
        **SERIAL,
        **OTHER_LOSS,
        prediction_loss_weight=0,
        relational_loss_weight=1,
        **ONE_SEED,
    ),
    # One student for all budgets, also as a cascade.
    row(
        "One student for every budget",
        highlight=True,
        regime="serial",
        **SOFT_LABELS,
        start_from_teacher=True,
        frame_budget=10,
        fewest_frames=1,
        num_epochs=12,
        **ONE_SEED,
    ),
    row(
        "Uniform-k, no teacher, 10 % of the clips",
        highlight=True,
        **LABELS,
        **FEW_CLIPS,
        num_epochs=30,
        learning_rate_decay_examples=6600,
        **ONE_SEED,
    ),
    row(
        "Soft labels of four teachers, 10 % of the clips",
        highlight=True,
        baseline_row="Uniform-k, no teacher, 10 % of the clips",
        regime="serial",
        **SOFT_LABELS,
        **FEW_CLIPS,
        mixup=1,
        num_epochs=40,
        learning_rate_decay_examples=8800,
        **ONE_SEED,
    ),
]
