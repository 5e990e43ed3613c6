"""Plans of YouTube-8M's downloads, as its own downloader reads them.

A partition such as `2/frame/train` (version, level, split) has a plan: a JSON
file with every file's MD5 hash at
`data.yt8m.org/2/download_plans/frame_train.json`. The files lie at
`MIRROR.data.yt8m.org/2/frame/train/`. Their names end in two letters or
digits, which become a number on the disk: some names differ only by case.
"""

import dataclasses
import hashlib
import http.client
import json
import re
import string
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.models.argument_checks import check_choice
from distill.system.atomic_files import replace_atomically

LEVELS = ("frame", "video", "frame_level", "video_level")
SPLITS = ("train", "validate", "test")
MIRRORS = ("us", "eu", "asia")
_DIGITS = string.ascii_lowercase + string.ascii_uppercase + string.digits
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HASH = re.compile("[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Source:
    """The servers of a partition.

    Attributes:
      partition: `VERSION/LEVEL/SPLIT`.
      mirror: `us`, `eu` or `asia`.
      server: Address of the servers, in which `{host}` stands for
        `data.yt8m.org` or a mirror's `us.data.yt8m.org`.
    """

    partition: str
    mirror: str
    server: str = "http://{host}"

    def __post_init__(self) -> None:
        """Checks the fields."""
        parts = self.partition.split("/")
        if len(parts) != 3 or not parts[0].isdecimal():
            raise ValueError(
                "partition must be VERSION/LEVEL/SPLIT such as 2/frame/train "
                "(frame level, 2018), 2/video/validate or 3/frame/test "
                f"(segments, 2019); got {self.partition!r}."
            )
        check_choice("level of the partition", parts[1], LEVELS)
        check_choice("split of the partition", parts[2], SPLITS)
        check_choice("mirror", self.mirror, MIRRORS)
        if not re.match("https?://", self.server):
            raise ValueError(
                "server must be an address that begins with http:// or "
                f"https://, got {self.server!r}."
            )

    @property
    def plan_address(self) -> str:
        """Address of the plan."""
        version, level, split = self.partition.split("/")
        server = self.server.replace("{host}", "data.yt8m.org").rstrip("/")
        return f"{server}/{version}/download_plans/{level}_{split}.json"

    def address(self, name: str) -> str:
        """Returns the address of a file of the plan."""
        host = f"{self.mirror}.data.yt8m.org"
        server = self.server.replace("{host}", host).rstrip("/")
        return f"{server}/{self.partition}/{name}"


@dataclasses.dataclass(frozen=True)
class PlannedFile:
    """A file to download: its name on the disk, address and MD5 hash."""

    name: str
    address: str
    md5: str


def load_plan(
    source: Source, directory: Path, timeout: float
) -> dict[str, str]:
    """Returns the MD5 hashes of a partition's files, by their names.

    The plan is fetched if it is not in the directory. The server must send
    something within `timeout` seconds.

    Raises:
      ValueError: The plan cannot be fetched, or is not a plan.
    """
    partition = source.partition.replace("/", "_")
    path = directory / f"{partition}_download_plan.json"
    if path.exists():
        try:
            return parse_plan(path.read_bytes())
        except ValueError as error:
            raise ValueError(
                f"{path} is no download plan ({error}): remove it, and it is "
                "fetched again."
            ) from error
    address = source.plan_address
    try:
        with urllib.request.urlopen(address, timeout=timeout) as response:
            contents = response.read()
        plan = parse_plan(contents)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ValueError(
            f"The plan of {source.partition} cannot be fetched from {address}: "
            f"{error}."
        ) from error
    with replace_atomically(path) as temporary:
        temporary.write_bytes(contents)
    return plan


def parse_plan(contents: bytes) -> dict[str, str]:
    """Returns the MD5 hash of every file of a plan, by its name there."""
    plan: Any = json.loads(contents)
    files = plan.get("files") if isinstance(plan, Mapping) else None
    if not isinstance(files, Mapping):
        raise ValueError("it has no object 'files' of names and hashes")
    for name, md5 in files.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a file")
        if not isinstance(md5, str) or not _HASH.fullmatch(md5):
            raise ValueError(f"the hash of {name} is no MD5: {md5!r}")
    return dict(files)


def local_name(name: str) -> str:
    """Returns a planned file's name on the disk.

    Its last two letters or digits become a number of four digits, as in
    `trainab.tfrecord`, `train0001.tfrecord`; other names stay.
    """
    stem, dot, extension = name.partition(".")
    last = stem[-2:]
    if len(last) < 2 or any(letter not in _DIGITS for letter in last):
        return name
    number = len(_DIGITS) * _DIGITS.index(last[0]) + _DIGITS.index(last[1])
    return f"{stem[:-2]}{number:04d}{dot}{extension}"


def _parse_shard(shard: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", shard)
    if not match:
        raise ValueError(
            f"shard must be m,n such as 1,100 (part 1 of 100), got {shard!r}."
        )
    part, count = map(int, match.groups())
    if not 1 <= part <= count:
        raise ValueError(f"shard={shard}: m must be from 1 to n.")
    return part, count


def choose_files(
    source: Source, plan: Mapping[str, str], shard: str | None
) -> list[PlannedFile]:
    """Returns the files of a plan that belong to a shard, sorted by name.

    `shard` is `m,n` for part m, from 1, of n; None for all. A file's shard
    follows from the MD5 hash of its name in the plan.

    Raises:
      ValueError: `shard` is of another form, or no file belongs to it.
    """
    part, count = _parse_shard(shard or "1,1")
    chosen = [
        PlannedFile(local_name(name), source.address(name), md5)
        for name, md5 in plan.items()
        if int(hashlib.md5(name.encode()).hexdigest(), 16) % count == part - 1
    ]
    if not chosen:
        raise ValueError(
            f"None of the {len(plan)} files of {source.partition} falls to "
            f"shard={shard or '1,1'}."
        )
    if len({file.name for file in chosen}) < len(chosen):
        raise ValueError("The plan gives two files the same name on the disk.")
    return sorted(chosen, key=lambda file: file.name)
