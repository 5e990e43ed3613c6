"""Tries a running service: many clients, good and malformed requests.

Ends with status 1 if an answer was wrong or did not come.
"""

from absl import flags

from distill.cli import data_settings, flag_sets
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_device_flags()
    flags.DEFINE_string("url", "http://127.0.0.1:8501", "The service's.")
    flags.DEFINE_string("model_name", "student", "The model's name there.")
    flags.DEFINE_string(
        "artifact", None, "The model it serves, which answers here too."
    )
    flags.DEFINE_integer("num_clients", 8, "Clients that ask at once.")
    flags.DEFINE_integer("num_requests", 2000, "Requests of all of them.")
    flags.DEFINE_float(
        "malformed_share", 0.1, "Share of requests that are malformed."
    )
    flags.DEFINE_integer("seed", 0, "Seed of the requests.")
    flags.DEFINE_integer(
        "server_pid", None, "The service's process, to read its memory."
    )


def main() -> int:
    """Asks --url and compares with --artifact."""
    data_settings.require("artifact")
    from tools.service_load.load_test import LoadTest, run_load_test

    test = LoadTest(
        url=FLAGS.url,
        model_name=FLAGS.model_name,
        num_clients=FLAGS.num_clients,
        num_requests=FLAGS.num_requests,
        malformed_share=FLAGS.malformed_share,
        seed=FLAGS.seed,
        server_pid=FLAGS.server_pid,
    )
    if not FLAGS.artifact.endswith((".onnx", ".tflite")):
        start_tensorflow(FLAGS.gpu)
    from distill.predictor import Predictor
    from tools.service_load.load_report import print_load_result

    result = run_load_test(test, Predictor.load(FLAGS.artifact))
    print_load_result(result)
    return int(result.wrong > 0)


if __name__ == "__main__":
    define_flags()
    run(main)
