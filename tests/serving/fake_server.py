"""Runs `distill serve`, and fails if that imports TensorFlow or Keras.

The artifact fake.onnx is the tests' own predictor; SIGUSR1 releases it where it
waits.
"""

import runpy
import signal
import sys

sys.modules.update(tensorflow=None, keras=None)

if "--artifact=fake.onnx" in sys.argv:
    from fake_predictor import RELEASED, fake_predictor

    from distill import predictor

    frame_features = "--video_level" not in sys.argv
    if not frame_features:
        sys.argv.remove("--video_level")
    signal.signal(signal.SIGUSR1, lambda *_: RELEASED.set())
    predictor.Predictor.load = lambda path, **_: fake_predictor(frame_features)
sys.argv.insert(1, "serve")
runpy.run_module("distill", {}, "__main__", True)
