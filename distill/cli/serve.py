"""Serves a trained model over HTTP, in TensorFlow Serving's REST form."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.service import ServiceOptions

OWN_FLAGS = (
    Flag("artifact", "The exported model, or a checkpoint."),
    Flag("host", "Address to listen at.", default="127.0.0.1"),
    Flag("port", "Port to listen at; 0: a free one.", int, 8501),
)
FLAG_GROUPS = (OWN_FLAGS, specs(ServiceOptions), groups.GPU)


def main() -> None:
    """Serves --artifact until SIGTERM or SIGINT."""
    require("artifact")
    from distill.system.extras import import_extra

    options = read(ServiceOptions)
    for module in ("orjson", "starlette", "uvicorn"):
        import_extra(module, "serve")
    from distill.serving.server import open_socket, serve

    listener = open_socket(FLAGS.host, FLAGS.port)
    if not FLAGS.artifact.endswith((".onnx", ".tflite")):
        start_tensorflow(FLAGS.gpu)
    from distill.predictor import Predictor

    serve(Predictor.load(FLAGS.artifact), options, listener, FLAGS.artifact)
