"""The file of an ensemble: its networks and their weights."""

import collections
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

from distill.models.argument_checks import check_choice
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.storage import join, relative_name, to_path
from distill.system.typed_json import read_dataclass

_FORMAT = "distill-ensemble-1"
_SUFFIX = ".json"
_ROLES = ("student", "teacher")
_SHOWN = 200  # characters of weights in an error


@dataclasses.dataclass(frozen=True)
class Member:
    """A network of an ensemble: its checkpoint, its role and its weight."""

    checkpoint: str
    role: str
    weight: float

    def __post_init__(self):
        """Checks the role, and that the file is not an ensemble."""
        check_choice("network", self.role, _ROLES)
        if is_ensemble(self.checkpoint):
            raise ValueError(
                f"A member must be a checkpoint, got the ensemble "
                f"{self.checkpoint}."
            )

    @property
    def name(self) -> str:
        """The path, followed by `:teacher` for a teacher."""
        suffix = "" if self.role == "student" else f":{self.role}"
        return f"{self.checkpoint}{suffix}"


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks whose predictions are averaged.

    Weights are scaled to sum to 1.

    Raises:
      ValueError: There is no member, one occurs twice, or a weight is wrong.
    """

    members: tuple[Member, ...]

    def __post_init__(self):
        """Checks the members and scales their weights."""
        if not self.members:
            raise ValueError("An ensemble needs one member or more, got none.")
        names = collections.Counter(member.name for member in self.members)
        name, count = names.most_common(1)[0]
        if count > 1:
            raise ValueError(f"An ensemble has each member once: {name}.")
        weights = _scale_weights([member.weight for member in self.members])
        members = (
            dataclasses.replace(member, weight=weight)
            for member, weight in zip(self.members, weights, strict=True)
        )
        object.__setattr__(self, "members", tuple(members))

    @property
    def used_members(self) -> tuple[Member, ...]:
        """The members of weights above 0."""
        return tuple(member for member in self.members if member.weight)

    def write(self, path: str | Path) -> None:
        """Writes the members of weights above 0, atomically.

        The checkpoints are stored relative to the directory of the file; by
        their whole names where one of the two lies in cloud storage.

        Raises:
          ValueError: The name does not end in `.json`.
        """
        if not is_ensemble(path):
            raise ValueError(
                f"The file of an ensemble must end in {_SUFFIX}, got {path}."
            )
        directory = to_path(path).parent.resolve()
        members = []
        for member in self.used_members:
            file = to_path(member.checkpoint)
            file = file.parent.resolve() / file.name
            checkpoint = {"checkpoint": relative_name(file, directory)}
            members.append(dataclasses.asdict(member) | checkpoint)
        fields = {"format": _FORMAT, "members": members}
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(fields, indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> "Ensemble":
        """Reads the file of an ensemble.

        Raises:
          ValueError: The file does not exist, or is not an ensemble.
        """
        path = to_path(path)
        if not path.exists():
            raise ValueError(f"There is no ensemble {path}.")
        try:
            fields = read_json_object(path)
            if fields.pop("format", None) != _FORMAT:
                raise ValueError(f'its "format" is not {_FORMAT!r}')
            members = read_dataclass(cls, fields).members
        except ValueError as error:
            text = str(error).removesuffix(".")
            raise ValueError(f"{path} is not an ensemble: {text}.") from error
        found = (
            Member(str(join(path.parent, m.checkpoint)), m.role, m.weight)
            for m in members
        )
        return cls(tuple(found))


def is_ensemble(path: str | Path) -> bool:
    """Returns whether a file has the name of an ensemble."""
    return str(path).endswith(_SUFFIX)


def _scale_weights(
    weights: Sequence[float], name: str = "weights"
) -> list[float]:
    finite = all(0 <= weight < math.inf for weight in weights)
    if not finite or not 0 < sum(weights) < math.inf:
        raise ValueError(
            f"{name} must be 0 or more, and one above 0, got "
            f"{str(list(weights))[:_SHOWN]}."
        )
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def parse_weights(
    texts: Sequence[str] | None, number: int, files: str
) -> list[float]:
    """Returns the scaled weights of --weights, or equal ones for None.

    Raises:
      ValueError: A weight is not valid, or not each of the `number` files of
        the flag `files` has one.
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
    return _scale_weights(weights, "--weights")


def parse_member(text: str, role: str, weight: float = 1.0) -> Member:
    """Returns the member of `FILE:ROLE`, or of `FILE` with the given role."""
    file, separator, named = text.rpartition(":")
    if separator and named in _ROLES:
        return Member(file, named, weight)
    return Member(text, role, weight)
