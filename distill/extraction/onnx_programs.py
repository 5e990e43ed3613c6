"""ONNX files as programs, run by ONNX Runtime on the CPU."""

from pathlib import Path
from typing import Any

from distill.extraction.network_files import Program, only
from distill.system.digests import path_hash
from distill.system.extras import import_extra

_EXTRA = "onnx"
_TYPES = {"float": "float32", "double": "float64"}
# ONNX Runtime tells standard error of every error that it raises.
_FATAL = 4


def load_part(path: Path, part: str) -> Program:
    """Loads a file; the output is the tensor that `part` names, or the first.

    Raises:
      Exception: One of the libraries' own, or a ValueError: it is damaged, or
        has no such tensor.
    """
    onnx = import_extra("onnx", _EXTRA)
    import_extra("onnxruntime", _EXTRA)
    model, digest = _load_model(onnx, path)
    session = _start(_keep_output(onnx, model, part))
    key = only("input", [each.name for each in session.get_inputs()])
    [output] = [each.name for each in session.get_outputs()]
    [given] = session.get_inputs()
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    return Program(
        # The axes of any size have names.
        tuple(d if isinstance(d, int) else None for d in given.shape),
        _TYPES.get(kind, kind),
        lambda batch: session.run([output], {key: batch})[0],
        digest=digest,
    )


def _load_model(onnx: Any, path: Path) -> tuple[Any, str]:
    """Returns a model with its weights, and the SHA-256 of its files."""
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise ValueError("Protobuf cannot read it as ONNX") from error
    # Weights may stand in files beside it.
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    onnx.load_external_data_for_model(model, str(path.parent))
    files = [path, *(path.parent / name for name in sorted(names))]
    return model, "+".join(map(path_hash, files))


def _keep_output(onnx: Any, model: Any, tensor: str) -> Any:
    """Returns the part of a model that makes a tensor, else its first output.

    ONNX Runtime would also run what leads to no output.
    """
    graph = model.graph
    outputs = [output.name for output in graph.output]
    tensor = tensor or outputs[0]
    if outputs == [tensor]:
        return model
    if not any(tensor in node.output for node in graph.node):
        raise ValueError(
            f"it has no tensor {tensor!r}; its outputs are {', '.join(outputs)}"
        )
    extractor = onnx.utils.Extractor(model)
    # ONNX Runtime finds out the type and shape of an inner tensor.
    unknown = onnx.helper.make_empty_tensor_value_info(tensor)
    extractor.value_infos.setdefault(tensor, unknown)
    weights = {each.name for each in graph.initializer}
    inputs = [each.name for each in graph.input if each.name not in weights]
    return extractor.extract_model(inputs, [tensor])


def _start(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    # At an error the fallback prints, and tries the same again.
    return onnxruntime.InferenceSession(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,
    )
