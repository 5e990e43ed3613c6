"""Tests a running service with concurrent good and malformed requests.

Exits with status 1 if an answer is wrong or missing.
"""

import dataclasses

from absl import flags

from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the tool's flags."""
    flags.DEFINE_integer(
        "gpu", None, "GPU to compute on; -1: the CPU. Default: what there is."
    )
    flags.DEFINE_string("url", "http://127.0.0.1:8501", "The service's URL.")
    flags.DEFINE_string("model_name", "student", "The model in the service.")
    flags.DEFINE_string(
        "artifact", None, "The served model; its answers are the right ones."
    )
    flags.DEFINE_integer("num_clients", 8, "Concurrent clients.")
    flags.DEFINE_integer("num_requests", 2000, "Requests of all clients.")
    flags.DEFINE_float(
        "malformed_share", 0.1, "Fraction of the requests that are malformed."
    )
    flags.DEFINE_integer("seed", 0, "Seed of the requests.")
    flags.DEFINE_integer(
        "server_pid", None, "The service's process, to read its memory."
    )


def main() -> int:
    """Compares the answers of --url with those of --artifact."""
    if FLAGS.artifact is None:
        raise ValueError("Give a value to --artifact.")
    from tools.service_load.load import LoadSettings, run_load_test

    names = [field.name for field in dataclasses.fields(LoadSettings)]
    settings = LoadSettings(**{name: FLAGS[name].value for name in names})
    if not FLAGS.artifact.endswith((".onnx", ".tflite")):
        start_tensorflow(FLAGS.gpu)
    from distill.predictor import Predictor
    from tools.service_load.report import print_load_result

    result = run_load_test(settings, Predictor.load(FLAGS.artifact))
    print_load_result(result)
    return int(result.wrong > 0)


if __name__ == "__main__":
    define_flags()
    run(main)
