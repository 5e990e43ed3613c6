"""Lists the models with their sizes and costs."""

from distill.cli import flag_groups as groups
from distill.cli.entry_point import start_tensorflow
from distill.cli.experiment import data_schema
from distill.cli.settings_flags import FLAGS, Flag

OWN_FLAGS = (
    Flag(
        "models",
        "Names of models, comma-separated. Default: all.",
        tuple[str, ...],
    ),
)
FLAG_GROUPS = (groups.LAYOUT, OWN_FLAGS, groups.PRESET)


def main() -> None:
    """Measures the models and prints the table."""
    schema = data_schema()

    start_tensorflow(gpu=-1)
    from distill.networks.model_list import list_models, print_models

    print_models(list_models(schema, FLAGS.models, FLAGS.preset), schema)
