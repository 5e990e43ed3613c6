"""Serves a trained model over HTTP, in TensorFlow Serving's REST form."""

from absl import flags

from distill.cli import data_settings, flag_sets
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_device_flags()
    flags.DEFINE_string(
        "artifact", None, "The exported model, or a checkpoint."
    )
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen at.")
    flags.DEFINE_integer("port", 8501, "Port to listen at; 0: a free one.")
    flags.DEFINE_string("model_name", "student", "Name in /v1/models/NAME.")
    flags.DEFINE_integer("top_k", 20, "Classes of an answer, best first.")
    flags.DEFINE_integer(
        "max_body_bytes", 16 * 2**20, "Most bytes of a request's body."
    )
    flags.DEFINE_integer(
        "max_batch_size", 64, "Most videos of one call of the model."
    )
    flags.DEFINE_float(
        "batch_delay_ms", 2.0, "How long a video waits for others to join it."
    )
    flags.DEFINE_integer(
        "max_queue", 1024, "Videos that may wait; beyond: status 503."
    )
    flags.DEFINE_float(
        "stop_delay_seconds",
        0.0,
        "From SIGTERM on: how long requests are still accepted while /healthz "
        "answers 503.",
    )
    flags.DEFINE_integer(
        "stop_timeout_seconds", 30, "Then: how long answers may take."
    )


def main() -> None:
    """Serves --artifact until SIGTERM or SIGINT."""
    data_settings.require("artifact")
    from distill.deployment.runtimes import import_extra
    from distill.serving.options import ServiceOptions

    options = ServiceOptions(
        model_name=FLAGS.model_name,
        top_k=FLAGS.top_k,
        max_body_bytes=FLAGS.max_body_bytes,
        max_batch_size=FLAGS.max_batch_size,
        batch_delay_ms=FLAGS.batch_delay_ms,
        max_queue=FLAGS.max_queue,
        stop_delay_seconds=FLAGS.stop_delay_seconds,
        stop_timeout_seconds=FLAGS.stop_timeout_seconds,
    )
    for module in ("starlette", "uvicorn"):
        import_extra(module, "serve")
    from distill.serving.server import open_socket, serve

    listener = open_socket(FLAGS.host, FLAGS.port)
    if not FLAGS.artifact.endswith((".onnx", ".tflite")):
        start_tensorflow(FLAGS.gpu)
    from distill.predictor import Predictor

    serve(Predictor.load(FLAGS.artifact), options, listener, FLAGS.artifact)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
