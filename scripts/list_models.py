"""Lists every model: level, default sizes, parameters, multiply-adds."""

from absl import flags

from scripts import data_settings, flag_sets
from scripts.entry_point import run, start_tensorflow

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
    from distill.model_list import list_models
    from distill.reports import print_models

    print_models(list_models(schema, FLAGS.models), schema)


if __name__ == "__main__":
    define_flags()
    run(main)
