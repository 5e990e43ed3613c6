"""Compares predictions and times of all models on Keras's backends.

`python -m tools.backends train` compares trainings, and `evaluate` evaluates a
checkpoint on other backends.
"""

from distill.cli.entry_point import start_tensorflow
from distill.cli.flag_groups import GPU
from distill.cli.settings_flags import FLAGS, read, specs
from tools.backends.flags import BACKENDS, chosen_backends
from tools.backends.settings import ComparisonSettings

FLAG_GROUPS = (specs(ComparisonSettings), BACKENDS, GPU)


def main() -> None:
    """Compares the backends and prints the table."""
    settings, backends = read(ComparisonSettings), chosen_backends()
    start_tensorflow(gpu=-1)  # of this process, which makes the weights
    from tools.backends.comparison import compare_backends
    from tools.backends.process import MODULES, installed_backends
    from tools.backends.report import print_backends

    missing = [name for name in MODULES if name not in installed_backends()]
    print_backends(compare_backends(settings, backends, FLAGS.gpu), missing)
