"""The file of an ensemble: which networks, and the weight of each."""

import dataclasses
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.models.argument_checks import check_choice
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.typed_json import is_of_type

FORMAT = "distill-ensemble-1"
SUFFIX = ".json"
_WHICH = ("student", "teacher")
_MOST_MEMBERS = 1_000
_SHOWN = 60


@dataclasses.dataclass(frozen=True)
class Member:
    """A network of an ensemble.

    Attributes:
      checkpoint: Its file.
      role: `student` or `teacher`: the network of the file.
      weight: Its share of the mean, 0 or more.
    """

    checkpoint: str
    role: str
    weight: float

    @property
    def name(self) -> str:
        """The file and, unless it is the student, the network."""
        suffix = "" if self.role == "student" else f":{self.role}"
        return f"{self.checkpoint}{suffix}"


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks whose predictions are averaged.

    Attributes:
      members: One or more, each network once. Their weights are scaled to sum
        to 1.

    Raises:
      ValueError: There is none, one comes twice, or no mean has such weights.
    """

    members: tuple[Member, ...]

    def __post_init__(self):
        """Checks the members and scales their weights."""
        if not self.members:
            raise ValueError("An ensemble has one member or more, got none.")
        names = [member.name for member in self.members]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"An ensemble has each member once: {name}.")
        for member in self.members:
            check_choice("network", member.role, _WHICH)
        weights = scale_weights([member.weight for member in self.members])
        members = [
            dataclasses.replace(member, weight=weight)
            for member, weight in zip(self.members, weights, strict=True)
        ]
        object.__setattr__(self, "members", tuple(members))

    @property
    def used_members(self) -> tuple[Member, ...]:
        """The members of weights above 0."""
        return tuple(member for member in self.members if member.weight)

    def write(self, path: str | Path) -> None:
        """Writes the members of weights above 0, whole or not at all.

        Args:
          path: The file; checkpoints are named as seen from its directory.

        Raises:
          ValueError: Its name does not end in `.json`.
        """
        if not is_ensemble(path):
            raise ValueError(
                f"The file of an ensemble must end in {SUFFIX}, got {path}."
            )
        members = [
            dataclasses.asdict(member)
            | {"checkpoint": _relative(member.checkpoint, Path(path).parent)}
            for member in self.used_members
        ]
        fields = {"format": FORMAT, "members": members}
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(fields, indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> "Ensemble":
        """Returns the ensemble of a file.

        Args:
          path: The file; the members' checkpoints are relative to its
            directory.

        Raises:
          ValueError: There is no such file, or it holds no ensemble.
        """
        path = Path(path)
        if not path.exists():
            raise ValueError(f"There is no ensemble {path}.")
        try:
            fields = read_json_object(path)
            if fields.get("format") != FORMAT:
                raise ValueError(f'its "format" is not {FORMAT!r}')
            members = fields.get("members")
            if not isinstance(members, list):
                raise ValueError('its "members" are no list')
            if len(members) > _MOST_MEMBERS:
                raise ValueError(
                    f"it has {len(members)} members, at most {_MOST_MEMBERS} "
                    "make one"
                )
            return cls(
                tuple(
                    _read_member(number, member, path.parent)
                    for number, member in enumerate(members, start=1)
                )
            )
        except ValueError as error:
            text = str(error).removesuffix(".")
            raise ValueError(f"{path} holds no ensemble: {text}.") from error


def is_ensemble(path: str | Path) -> bool:
    """Returns whether a file's name is that of an ensemble."""
    return str(path).endswith(SUFFIX)


def scale_weights(
    weights: Sequence[float], name: str = "weights"
) -> list[float]:
    """Returns weights scaled to sum to 1.

    Args:
      weights: 0 or more, one of them above 0.
      name: What the user calls them.

    Raises:
      ValueError: They are others.
    """
    finite = all(0 <= weight < math.inf for weight in weights)
    if not finite or not 0 < sum(weights) < math.inf:
        raise ValueError(
            f"{name} must be 0 or more, and one above 0, got {list(weights)}."
        )
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def parse_weights(
    texts: Sequence[str] | None, number: int, files: str
) -> list[float]:
    """Returns the weights that --weights gives to files, summing to 1.

    Args:
      texts: What the flag holds; None: equal weights.
      number: How many files there are.
      files: The flag that names them.

    Raises:
      ValueError: They are no weights, or not one for each file.
    """
    if texts is None:
        texts = ["1"] * number
    if len(texts) != number:
        raise ValueError(
            f"--weights must be one for each of the {number} files of "
            f"--{files}, got {len(texts)}."
        )
    try:
        weights = list(map(float, texts))
    except ValueError as error:
        raise ValueError(
            f"--weights must be numbers, got {','.join(texts)}."
        ) from error
    return scale_weights(weights, "--weights")


def parse_member(text: str, role: str, weight: float = 1.0) -> Member:
    """Returns the member of `FILE`, `FILE:student` or `FILE:teacher`.

    Args:
      text: What names it.
      role: The network where `text` does not say.
      weight: Its weight.
    """
    file, separator, named = text.rpartition(":")
    if separator and named in _WHICH:
        return Member(file, named, weight)
    return Member(text, role, weight)


def _read_member(number: int, fields: Any, directory: Path) -> Member:
    if not isinstance(fields, dict):
        raise ValueError(f"member {number} is no object")
    for key, kind in (("checkpoint", str), ("role", str), ("weight", float)):
        value = fields.get(key)
        if not is_of_type(kind, value):
            wanted = "a number" if key == "weight" else "a text"
            raise ValueError(
                f'the "{key}" of member {number} must be {wanted}, got '
                f"{str(value)[:_SHOWN]!r}"
            )
    if is_ensemble(fields["checkpoint"]):
        raise ValueError(
            f"member {number} is an ensemble itself, not a checkpoint"
        )
    return Member(
        str(directory / fields["checkpoint"]),
        fields["role"],
        float(fields["weight"]),
    )


def _relative(checkpoint: str, directory: Path) -> str:
    """Returns a file's path as seen from a directory."""
    folder = Path(checkpoint).parent.resolve()
    return os.path.relpath(folder / Path(checkpoint).name, directory.resolve())
