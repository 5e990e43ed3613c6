"""Compares Keras's backends: TensorFlow, and PyTorch and JAX if installed."""

import dataclasses

from absl import flags

from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the tool's flags."""
    flags.DEFINE_integer(
        "gpu", None, "GPU to compute on; -1: the CPU. Default: what there is."
    )
    flags.DEFINE_list(
        "models", None, "Names of models, comma-separated; default: all."
    )
    flags.DEFINE_integer("batch_size", 16, "Videos of the batch.")
    flags.DEFINE_integer("frames", 30, "Frames of the longest video.")
    flags.DEFINE_integer("repeats", 5, "Steps whose median time is taken.")
    flags.DEFINE_boolean(
        "small_sizes",
        True,
        "Small models; false: the default sizes on yt8m_2018's features and "
        "classes (all models: 8 GB of temporary files).",
    )


def main() -> None:
    """Compares the backends and prints the table."""
    start_tensorflow(gpu=-1)  # of this process, which makes the weights
    from tools.backends.comparison import (
        MODULES,
        ComparisonSettings,
        compare_backends,
        installed_backends,
    )
    from tools.backends.report import print_backends

    names = [f.name for f in dataclasses.fields(ComparisonSettings)]
    values = {name: FLAGS[name].value for name in names}
    if FLAGS.models is None:
        del values["models"]
    settings = ComparisonSettings(**values)
    installed = installed_backends()
    results = compare_backends(settings, installed, FLAGS.gpu)
    print_backends(results, [b for b in MODULES if b not in installed])


if __name__ == "__main__":
    define_flags()
    run(main)
