"""Quick start: synthetic videos, a teacher and a student, their scores.

A teacher of all frames and a student of every tenth are trained together and
scored on videos that neither has seen. Needs nothing beside the base
installation. Takes about 15 seconds on two cores; a folder may be given as the
argument.
"""

import sys

import distill

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/quick_start"
for split, num_videos in {"train": 600, "validate": 200}.items():
    world = distill.SyntheticSettings(
        split,
        num_videos,
        feature_sizes=(16, 4),
        num_classes=10,
        max_frames=100,
        scene_strength=2.0,
    )
    list(distill.write_synthetic_data(world, f"{folder}/data"))

settings = distill.RunSettings(
    distill.make_schema(
        "yt8m_2018", feature_sizes=(16, 4), num_classes=10, max_frames=100
    ),
    student=distill.network("FrameLevelLogisticModel", every_n=10),
    training=distill.TrainingSettings(
        f"{folder}/data/train-*", batch_size=50, base_learning_rate=0.05
    ),
    teacher=distill.network("FrameLevelLogisticModel"),
    distillation=distill.DistillationSettings(),
)
result = distill.train(settings, distill.RunOptions(f"{folder}/run"))
for role in ("teacher", "student"):
    validate = f"{folder}/data/validate-*"
    scores = distill.evaluate(result.checkpoint, validate, role=role)
    print(f"{role}: GAP {scores['gap']:.3f} of {scores['frames']} frames")
