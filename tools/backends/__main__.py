"""Compares Keras's backends: TensorFlow, and PyTorch and JAX if installed."""

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.flag_groups import GPU
from distill.cli.settings_flags import read, specs
from tools.backends.settings import ComparisonSettings


def main() -> None:
    """Compares the backends and prints the table."""
    settings = read(ComparisonSettings)
    start_tensorflow(gpu=-1)  # of this process, which makes the weights
    from tools.backends.comparison import (
        MODULES,
        compare_backends,
        installed_backends,
    )
    from tools.backends.report import print_backends

    installed = installed_backends()
    results = compare_backends(settings, installed, flags.FLAGS.gpu)
    print_backends(results, [b for b in MODULES if b not in installed])


if __name__ == "__main__":
    run(main, [GPU, specs(ComparisonSettings)])
