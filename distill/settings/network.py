"""The settings of a network, from the names of its sizes and frames."""

import dataclasses
from typing import Any

from distill.models import registry
from distill.models.argument_checks import check_choice
from distill.models.frame_budget import FrameBudget
from distill.models.options import flag_name
from distill.models.presets import SMALL
from distill.settings.run import NetworkSettings
from distill.system.typed_json import is_of_type


def network(
    model: str, *, preset: str = SMALL, **options: Any
) -> NetworkSettings:
    """Returns the settings of a network, with defaults for all that is left.

    Args:
      model: A model's name, such as `NetVLADModelLF`; `distill list_models`
        lists all.
      preset: The sizes that are not given: `small`, for some hundred to some
        thousand videos, or `paper`, the references'.
      **options: Options under the names of their flags. Sizes of the model
        and of its classifier, such as `netvlad_cluster_size=16` or
        `moe_num_mixtures=2` (`distill train --model=NAME --help` lists them).
        The frames that the network sees of a video: `every_n` (1: all), or
        their number `frame_budget` with `frame_selection` (default
        `uniform_k`), `random_offset` and `fewest_frames`.

    Raises:
      ValueError: The model or an option is unknown, a value is not accepted,
        or the frames' options contradict each other.

    Examples:
      >>> teacher = distill.network("NetVLADModelLF", netvlad_cluster_size=16)
      >>> teacher.arguments["netvlad_cluster_size"]
      16
      >>> distill.network("NetVLADModelLF", frame_budget=5).budget.name
      'uniform_k=5'
    """
    frames = {flag_name(f): f for f in dataclasses.fields(FrameBudget)}
    fields = registry.argument_fields()
    sizes = {n: v for n, v in options.items() if n in fields}
    arguments = registry.resolve_arguments(model, sizes, preset)
    for name, value in options.items():
        check_choice(f"option of {model}", name, {**arguments, **frames})
        kind: Any = (fields | frames)[name].type
        if not is_of_type(kind, value):
            word = getattr(kind, "__name__", kind)
            raise ValueError(f"{name} must be {word}, got {value!r}.")
    registry.read_configs(model, arguments)
    budget = {frames[n].name: v for n, v in options.items() if n in frames}
    return NetworkSettings(model, arguments, FrameBudget.of(**budget))
