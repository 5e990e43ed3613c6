"""The rows of configs/study_joint.cfg."""

from distill.study.rows import row

MEANS = {"frame_selection": "segment_means"}
LABELS = MEANS | {"regime": "labels"}
PUBLISHED = MEANS | {
    "regime": "parallel",
    "normalize_terms": True,
    "representation_loss_weight": 0.5,
    "prediction_loss_weight": 0.5,
}
JOINT = MEANS | {
    "regime": "parallel",
    "flagfile": "configs/loss_soft_labels.cfg",
    "num_epochs": 18,
}

ROWS = [
    *(
        row(
            f"Labels, {epochs} epochs",
            **LABELS,
            frame_dropout=0.5,
            num_epochs=epochs,
        )
        for epochs in (14, 18)
    ),
    row("Joint, rep + pred + CE", **PUBLISHED),
    row("Joint, rep + pred + CE, 18 epochs", **PUBLISHED, num_epochs=18),
    row("Joint, soft labels", **JOINT, highlight=True),
    # The others differ from that in what their names say.
    *(
        row(f"Joint, soft labels, {name}", **JOINT | changed)
        for name, changed in {
            "no frame dropout": {"frame_dropout": 0},
            "the teacher as it trains": {"teacher_ema": False},
            "labels to the end": {"final_label_factor": 1},
            "no gate of the probabilities": {"moe_prob_gating": False},
            "KL": {"prediction_loss": "kl"},
            "representation loss": {"representation_loss_weight": 0.001},
        }.items()
    ),
]
