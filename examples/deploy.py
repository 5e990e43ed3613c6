"""A trained student as ONNX and LiteRT, compared with its checkpoint.

The exports need the extras `onnx` and `litert`; to predict with them later
needs no TensorFlow. The first run of `examples/quick_start.py` is the student:
give its folder as the argument, or run it first. Takes about 15 seconds on two
cores.
"""

import sys
from pathlib import Path

import numpy as np

import distill

folder = sys.argv[1] if len(sys.argv) > 1 else "runs/quick_start"
if not Path(folder, "run").is_dir():
    sys.exit(f"There is no {folder}/run: run examples/quick_start.py first.")
card = distill.export(
    f"{folder}/run",
    f"{folder}/export",
    f"{folder}/data/validate-*",
    role="student",
    formats=["onnx", "litert"],
    precisions=["float32", "int8"],
)

random = np.random.default_rng(0)
videos = [random.uniform(-2, 2, (length, 20)) for length in (12, 60, 100)]
student = distill.Predictor.load(f"{folder}/run")
expected = student.probabilities([student.check(video) for video in videos])
for artifact in card["artifacts"]:
    predictor = distill.Predictor.load(f"{folder}/export/{artifact['path']}")
    found = predictor.probabilities([predictor.check(v) for v in videos])
    print(
        f"{artifact['path']}: {artifact['bytes']:,} bytes, GAP "
        f"{artifact['gap']:.4f}, differs by {abs(found - expected).max():.1e}"
    )
