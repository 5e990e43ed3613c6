"""Flags made from settings dataclasses, and settings made from flags.

A field made by `distill.models.options.option` states a setting once; `define`
makes a flag of it and `read` reads it back.
"""

import dataclasses
import itertools
import types
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from distill.models.argument_checks import check_at_least, check_choice
from distill.models.options import flag_name
from distill.system.file_patterns import exclude
from distill.system.storage import check_urls

FLAGS = flags.FLAGS
# The end of the names of flags whose files TensorFlow reads.
_RECORD_FLAGS = "data_pattern"
_WORDS = {int: "whole number", float: "number"}


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag to define: its name, help, type, default and accepted values.

    The first sentence of the help is its line in `--help`.

    Attributes:
      heading: Heading of `--help` under which the flag stands, one of
        `distill.cli.flag_groups.HEADINGS`.
      rare: Whether `--helpfull` alone shows it.
      is_address: Whether its value is an address of the network, not a path.
      paper: Default with `--preset=paper`; None: the same.
    """

    name: str
    help: str
    kind: Any = str
    default: Any = None
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    heading: str = "Main"
    rare: bool = False
    paper: Any = None
    is_address: bool = False


def specs(
    settings: type, *names: str, skip: Sequence[str] = (), unset: str = ""
) -> list[Flag]:
    """Returns the flags of a settings dataclass.

    Args:
      settings: The dataclass.
      *names: The fields to take; none: all.
      skip: Fields to leave out.
      unset: What holds where a flag is not given; the flag's default is then
        None, whatever the field's is. Empty: the field's default holds.
    """
    found = {field.name: field for field in dataclasses.fields(settings)}
    chosen = names or [name for name in found if name not in skip]
    return field_specs(
        {flag_name(found[name]): found[name] for name in chosen}, unset
    )


def field_specs(
    fields: Mapping[str, dataclasses.Field], unset: str, prefix: str = ""
) -> list[Flag]:
    """Returns the flags of fields by flag name, each behind a prefix."""
    made = []
    for name, field in fields.items():
        default, text = field.default, field.metadata["help"]
        choices = field.metadata["choices"]
        if any(choice not in text for choice in choices):
            text += f" Choices: {', '.join(choices)}."
        if unset:
            text += f" Default: {unset}."
        if unset or default is dataclasses.MISSING:
            default = None
        minimum = field.metadata["minimum"]
        made.append(
            Flag(
                prefix + name,
                text,
                field.type,
                default,
                choices,
                minimum,
                is_address=field.metadata["is_address"],
            )
        )
    return made


def under(
    heading: str, flags: Iterable[Flag], rare: Collection[str] | None = ()
) -> list[Flag]:
    """Returns flags under a heading of `--help`.

    Args:
      heading: One of `distill.cli.flag_groups.HEADINGS`.
      flags: The flags.
      rare: Names of those that `--helpfull` alone shows; None: all.
    """
    return [
        dataclasses.replace(
            flag, heading=heading, rare=rare is None or flag.name in rare
        )
        for flag in flags
    ]


def define(
    groups: Iterable[Iterable[Flag]], values: flags.FlagValues = FLAGS
) -> None:
    """Defines the flags of several groups."""
    for spec in itertools.chain.from_iterable(groups):
        kind = spec.kind
        serializer: Any = flags.ArgumentSerializer()
        if isinstance(kind, types.UnionType):  # such as `int | None`
            (kind,) = set(typing.get_args(kind)) - {types.NoneType}
        if kind is bool:
            flags.DEFINE_boolean(spec.name, spec.default, spec.help, values)
            continue
        is_list = typing.get_origin(kind) is tuple
        if is_list:
            kind = typing.get_args(kind)[0]
            serializer = flags.ListSerializer(",")
        flags.DEFINE(
            _Parser(spec, kind, is_list),
            spec.name,
            spec.default,
            spec.help,
            values,
            serializer=serializer,
        )


class _Parser(flags.ArgumentParser):
    """Parses a flag's text and checks the value."""

    def __init__(self, spec: Flag, kind: type, is_list: bool):
        self._spec, self._kind, self._is_list = spec, kind, is_list
        self.syntactic_help = "a comma-separated list" if is_list else ""

    def parse(self, argument: Any) -> Any:
        """Returns the value of a text, or a default as it is."""
        if not isinstance(argument, str):
            return argument
        if self._kind is str and not self._spec.is_address:
            records = self._spec.name.endswith(_RECORD_FLAGS)
            check_urls(argument, records)
        if not self._is_list:
            return self._parse_one(argument)
        texts = [text.strip() for text in argument.split(",")]
        return tuple(map(self._parse_one, texts)) if argument else ()

    def _parse_one(self, text: str) -> Any:
        spec, kind = self._spec, self._kind
        try:
            value = kind(text)
        except ValueError as error:
            word = _WORDS[kind]
            wanted = f"{word}s" if self._is_list else f"a {word}"
            raise ValueError(
                f"{spec.name} must be {wanted}, got {text!r}."
            ) from error
        if spec.choices:
            if value not in spec.choices:
                value = _rename_class_of_tensorflow_1(value)
            check_choice(spec.name, value, spec.choices)
        if spec.minimum is not None:
            check_at_least(spec.minimum, **{spec.name: value})
        return value

    def flag_type(self) -> str:
        """Returns the type's name, for `--helpxml`."""
        name = self._kind.__name__
        return f"list of {name}" if self._is_list else name


def _rename_class_of_tensorflow_1(name: str) -> str:
    """Returns Keras's name of an optimiser, as AdamOptimizer: Adam."""
    name = name.removesuffix("Optimizer")
    return {"GradientDescent": "SGD", "RMSProp": "RMSprop"}.get(name, name)


def read(settings: type, **fields: Any) -> Any:
    """Returns settings of the flags' values, with some fields over them.

    Raises:
      ValueError: The values contradict each other.
    """
    values = {
        field.name: FLAGS[flag_name(field)].value
        for field in dataclasses.fields(settings)
        if flag_name(field) in FLAGS
    }
    return settings(**values | fields)


def given(settings: type) -> dict[str, Any]:
    """Returns the fields whose flags have a value, by field name."""
    names = {f.name: flag_name(f) for f in dataclasses.fields(settings)}
    return {
        name: FLAGS[flag].value
        for name, flag in names.items()
        if flag in FLAGS and FLAGS[flag].value is not None
    }


def flag_value(name: str) -> Any:
    """Returns a flag's value; None where the verb does not define it."""
    return FLAGS[name].value if name in FLAGS else None


def exclude_files() -> None:
    """Adds the exclusions of --exclude_data_pattern to every data pattern."""
    excluded = flag_value("exclude_data_pattern")
    for name in FLAGS if excluded else ():
        if name.endswith("_data_pattern") and name != "exclude_data_pattern":
            flag = FLAGS[name]
            if flag.value:
                flag.value = exclude(flag.value, excluded)


def require(*names: str) -> None:
    """Raises a ValueError that names the flags without a value."""
    missing = [f"--{name}" for name in names if not FLAGS[name].value]
    if missing:
        raise ValueError(f"Give a value to {', '.join(missing)}.")
