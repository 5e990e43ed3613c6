"""Lists every model: level, default sizes, parameters, MACs."""

from absl import flags

from distill.cli import data_settings, flag_sets
from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_layout_flags()
    flags.DEFINE_list(
        "models", None, "Names of models, comma-separated; default: all."
    )


def main() -> None:
    """Measures the models and prints the table."""
    schema = data_settings.data_schema()

    start_tensorflow(gpu=-1)
    from distill.networks.model_list import list_models
    from distill.reporting.console import print_models

    print_models(list_models(schema, FLAGS.models), schema)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
