"""Tests a running service with concurrent good and malformed requests.

Exits with status 1 if an answer is wrong or missing.
"""

import dataclasses

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.flag_groups import GPU
from distill.cli.settings_flags import read, require, specs
from distill.models.options import option
from tools.service_load.load import LoadSettings, run_load_test

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class ReferenceFlags:
    """The model that gives the right answers."""

    artifact: str | None = option(
        None, "The served model; its answers are the right ones."
    )


def main() -> int:
    """Compares the answers of --url with those of --artifact."""
    require("artifact")
    settings = read(LoadSettings)
    if not FLAGS.artifact.endswith((".onnx", ".tflite")):
        start_tensorflow(FLAGS.gpu)
    from distill.predictor import Predictor
    from tools.service_load.report import print_load_result

    result = run_load_test(settings, Predictor.load(FLAGS.artifact))
    print_load_result(result)
    return int(result.wrong > 0)


if __name__ == "__main__":
    run(main, [GPU, specs(LoadSettings), specs(ReferenceFlags)])
