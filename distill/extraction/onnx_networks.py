"""Image networks that are ONNX files, run by ONNX Runtime on the CPU."""

from pathlib import Path
from typing import Any

import numpy as np

from distill.extraction.image_input import read_image_input
from distill.extraction.image_networks import (
    ImageOptions,
    LoadedNetwork,
    identify,
    local_file,
    refuse_weights,
    split_part,
)
from distill.system.digests import path_hash
from distill.system.extras import import_extra

_EXTRA = "onnx"
# The scale of networks that PyTorch trained on ImageNet.
_DEFAULT_SCALE = "imagenet"
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# ONNX Runtime tells standard error of every error that it raises.
_FATAL = 4


def load(rest: str, options: ImageOptions) -> LoadedNetwork:
    """Loads `FILE` or `FILE#TENSOR`, whose features are any of its tensors.

    Raises:
      ValueError: There is no such file or tensor, or it reads no images.
    """
    refuse_weights(options)
    onnx = import_extra("onnx", _EXTRA)
    import_extra("onnxruntime", _EXTRA)
    path, tensor = split_part(rest)
    with local_file(path, "ONNX file") as local:
        model, digest = _load_model(onnx, local)
        session = _start(_keep_output(onnx, model, tensor))
        output = session.get_outputs()[0].name
        inputs = session.get_inputs()
        if len(inputs) != 1:
            names = ", ".join(each.name for each in inputs)
            raise ValueError(
                f"it has {len(inputs)} inputs ({names}), not one of images"
            )
        if inputs[0].type not in _TYPES:
            raise ValueError(f"its input is {inputs[0].type}, not of images")
        form = read_image_input(
            inputs[0].shape,
            _TYPES[inputs[0].type],
            scale=options.scale,
            default_scale=_DEFAULT_SCALE,
            size=options.size,
        )
    batch_size = form.batch_size or options.batch_size

    def run(images: np.ndarray) -> np.ndarray:
        found = session.run([output], {inputs[0].name: form.prepare(images)})
        return form.to_vectors(found[0])

    return LoadedNetwork(
        run=run,
        input_size=form.size,
        batch_size=batch_size,
        macs=None,
        identity=identify(f"onnx:#{output}", digest, form, batch_size),
    )


def _load_model(onnx: Any, path: Path) -> tuple[Any, str]:
    """Returns a model with its weights, and the SHA-256 of its files."""
    model = onnx.load(str(path), load_external_data=False)
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
    """Returns the part of a model that makes one tensor; its only output.

    ONNX Runtime would also run what leads to no output.
    """
    graph = model.graph
    outputs = [output.name for output in graph.output]
    if tensor and not any(tensor in node.output for node in graph.node):
        raise ValueError(
            f"it has no tensor {tensor!r}; its outputs are {', '.join(outputs)}"
        )
    name = tensor or outputs[0]
    if outputs == [name]:
        return model
    extractor = onnx.utils.Extractor(model)
    # ONNX Runtime finds out the type and shape of an inner tensor.
    unknown = onnx.helper.make_empty_tensor_value_info(name)
    extractor.value_infos.setdefault(name, unknown)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [each.name for each in graph.input if each.name not in weights]
    return extractor.extract_model(inputs, [name])


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
