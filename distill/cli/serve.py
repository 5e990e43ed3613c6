"""Serves a trained model over HTTP, in TensorFlow Serving's REST form."""

import functools
from typing import TYPE_CHECKING

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, read, require, specs
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.predictor import Predictor

OWN_FLAGS = (
    Flag("artifact", "The exported model, its archive, or a checkpoint."),
    Flag("host", "Address to listen at.", default="127.0.0.1"),
    Flag("port", "Port to listen at; 0: a free one.", int, 8501),
)
FLAG_GROUPS = (OWN_FLAGS, groups.TRUST, specs(ServiceOptions), groups.GPU)


def main() -> int:
    """Serves --artifact until SIGTERM or SIGINT; SIGHUP loads it again."""
    require("artifact")
    from distill.system.extras import import_extra

    options = read(ServiceOptions)
    for module in ("orjson", "prometheus_client", "starlette", "uvicorn"):
        import_extra(module, "serve")
    from distill.serving.server import announce, open_socket, serve

    listener = open_socket(FLAGS.host, FLAGS.port)
    load = functools.partial(
        load_predictor, FLAGS.artifact, FLAGS.gpu, FLAGS.trust_artifact
    )
    say = functools.partial(announce, listener, options, FLAGS.artifact)
    if options.workers == 1:
        serve(load, options, listener, lambda server: say())
        return 0
    from distill.serving.workers import serve_in_workers

    return serve_in_workers(load, options, listener, say)


def load_predictor(
    artifact: str, gpu: int | None, trust_artifact: bool = False
) -> "Predictor":
    """Loads a network; starts TensorFlow where its file needs that."""
    name = artifact.removesuffix(".gz").removesuffix(".tar")
    if not name.removesuffix(".tgz").endswith((".onnx", ".tflite")):
        _start_tensorflow_once(gpu)
    from distill.predictor import Predictor

    return Predictor.load(artifact, trust_artifact=trust_artifact)


@functools.cache
def _start_tensorflow_once(gpu: int | None) -> None:
    start_tensorflow(gpu)
