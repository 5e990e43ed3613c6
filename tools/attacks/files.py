"""Damaged files, each fed to a verb that reads it."""

import dataclasses
import random
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.attacks.attempt import Attempt
from tools.attacks.damage import BYTES, FLAGS, JSON, TEXT, Damage
from tools.attacks.endings import (
    find_bad_ending,
    find_leftovers,
    wait_for_end,
)
from tools.attacks.legal_files import (
    is_json_lines,
    is_json_object,
    is_original_records,
    is_pairs,
    is_whole_archive,
    may_be_anything,
)
from tools.attacks.preload import warm_processes
from tools.drills.running import StageRunner
from tools.drills.stages import Command, Stage, choose_stages, with_needs

_MOST_SECONDS = 90.0
# Room beyond what a process with TensorFlow has reserved before its command.
_MOST_GROWTH = 4 << 30
# Words of an error of files that do not fit one another.
_COMPARISONS = (
    *("no label file has it", "have no prediction", "is not among the"),
    *("Give a value to --", "give another "),
)
_FLAGFILE = "inputs/labels.cfg"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      name: Its name.
      damages: Ways to damage it.
      is_legal: Whether a damaged file may be read all the same; it gets the
        damaged bytes and the original ones.
    """

    name: str
    damages: Sequence[Damage]
    is_legal: Callable[[bytes, bytes], bool] = may_be_anything


@dataclasses.dataclass(frozen=True)
class Reader:
    """A command that reads a file.

    Attributes:
      kind: The kind of the file.
      file: Its path below the undisturbed runs, or below `{out}`.
      stage: Stage whose command is run, behind the stages that it needs.
      words: A command in place of the stage's, or flags behind it.
      goes_on: The directory of results holds those of the stage at first.
    """

    kind: Kind
    file: str
    stage: str
    words: str = ""
    goes_on: bool = False

    def command(self) -> Command:
        """Returns the command line."""
        (stage,) = choose_stages([self.stage])
        if self.words and not self.words.startswith("--"):
            return Command(self.words)
        return Command(f"{stage.commands[0].words} {self.words}")


CHECKPOINT = Kind("checkpoint", BYTES)
RECORDS = Kind("records", BYTES, is_original_records)
OBJECT = Kind("JSON", JSON, is_json_object)
LINES = Kind("JSON lines", TEXT, is_json_lines)
PAIRS = Kind("predictions", TEXT, is_pairs)
TABLE = Kind("CSV", TEXT)
ARRAYS = Kind("HDF5 arrays", BYTES)
ARCHIVE = Kind("npz", BYTES, is_whole_archive)
FLAGFILE = Kind("flagfile", FLAGS)

_PACK = "pack --output_dir={out}/packed --input={from}/inputs/"
READERS = (
    Reader(CHECKPOINT, "train/checkpoint-00000009.h5", "convert"),
    Reader(CHECKPOINT, "train/checkpoint-00000008.h5", "average"),
    Reader(CHECKPOINT, "finetune/best.h5", "infer"),
    Reader(
        CHECKPOINT,
        "finetune/best.h5",
        "infer",
        "inspect {from}/finetune/best.h5",
    ),
    Reader(
        CHECKPOINT,
        "{out}/checkpoint-00000009.h5",
        "train",
        "--num_epochs=4",
        goes_on=True,
    ),
    Reader(RECORDS, "data/validate-00002-of-00006.tfrecord", "labels"),
    Reader(RECORDS, "data/validate-00001-of-00006.tfrecord", "infer"),
    Reader(RECORDS, "data/validate-00003-of-00006.tfrecord", "budget_shards"),
    Reader(RECORDS, "data/train-00001-of-00006.tfrecord", "join"),
    Reader(RECORDS, "data/train-00003-of-00006.tfrecord", "train"),
    Reader(OBJECT, "ensemble/ensemble.json", "ensemble_predictions"),
    Reader(OBJECT, "fit/weights.json", "combine"),
    Reader(
        OBJECT,
        "cascade/cascade.json",
        "cascade",
        "evaluate --checkpoint={from}/finetune/best.h5 --gpu=-1 "
        "--eval_data_pattern={from}/data/validate-*.tfrecord "
        "--cascade_file={from}/cascade/cascade.json",
    ),
    Reader(
        OBJECT,
        "score/metrics.json",
        "score",
        "compare_scores --metrics_files=a={from}/score/metrics.json",
    ),
    Reader(
        Kind("own JSON", JSON),
        "{out}/budget_shards.json",
        "budget_shards",
        goes_on=True,
    ),
    Reader(
        Kind("own JSON", JSON),
        "{out}/inference.json",
        "infer_files",
        goes_on=True,
    ),
    Reader(
        Kind("own JSON", JSON),
        "{out}/settings.json",
        "train",
        "--num_epochs=4",
        goes_on=True,
    ),
    Reader(
        Kind("log", TEXT),
        "{out}/log.jsonl",
        "train",
        "--num_epochs=4",
        goes_on=True,
    ),
    Reader(LINES, "inputs/predictions.jsonl", "json_lines"),
    Reader(PAIRS, "infer/predictions.csv", "combine"),
    Reader(PAIRS, "infer/predictions.csv", "fit"),
    Reader(PAIRS, "infer/predictions.csv", "score"),
    Reader(TABLE, "labels/labels.csv", "fit"),
    Reader(TABLE, "labels/labels.csv", "score"),
    Reader(TABLE, "segments/segments_0.csv", "merge"),
    Reader(TABLE, "inputs/manifest.csv", "pack", f"{_PACK}manifest.csv"),
    Reader(
        TABLE,
        "pack/packed/class_names.csv",
        "pack",
        f"{_PACK}arrays.h5 "
        "--class_names_file={from}/pack/packed/class_names.csv",
    ),
    Reader(ARRAYS, "inputs/arrays.h5", "pack"),
    Reader(ARCHIVE, "inputs/arrays/v03.npz", "pack", f"{_PACK}manifest.csv"),
    Reader(
        FLAGFILE,
        _FLAGFILE,
        "labels",
        f"write_labels --flagfile={{from}}/{_FLAGFILE} "
        "--output_file={out}/labels.csv",
    ),
)


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Damages a file for each reader in turn.

    Raises:
      ValueError: A stage fails undisturbed.
    """
    readers = rng.sample(READERS, min(num_tries, len(READERS)))
    files = Files(work_dir, readers, rng)
    for number in range(num_tries):
        yield files.try_one(readers[number % len(readers)])


class Files:
    """Damages files and checks how their readers end.

    Args:
      work_dir: Directory for the stages.
      readers: Commands to attack; the stages that they need run before.
      rng: Random numbers of the attack.
    """

    def __init__(
        self, work_dir: Path, readers: Sequence[Reader], rng: random.Random
    ):
        self._rng = rng
        self._kept = work_dir / "faults"
        shutil.rmtree(self._kept, ignore_errors=True)
        self._kept.mkdir(parents=True)
        self._runner = StageRunner(work_dir, warm_processes())
        names = {reader.stage for reader in readers}
        for stage in with_needs(choose_stages(sorted(names))):
            directory = self._runner.undisturbed / stage.name
            running = self._runner.start(stage, directory)
            self._runner.finish_undisturbed(stage, running)
        (labels,) = choose_stages(["labels"])
        _, *flags = labels.commands[0].fill(
            Path("unused"), self._runner.undisturbed
        )
        lines = [flag for flag in flags if "--output_file" not in flag]
        flagfile = self._runner.undisturbed / _FLAGFILE
        flagfile.write_text("\n".join(["# Flags.", *lines]) + "\n")

    def try_one(self, reader: Reader) -> Attempt:
        """Damages the file of a reader, which then runs."""
        stage = Stage(reader.stage, (reader.command(),))
        directory = self._runner.disturbed(stage)
        shutil.rmtree(directory, ignore_errors=True)
        if reader.goes_on:
            done = self._runner.undisturbed / stage.name
            shutil.copytree(done, directory)
        places = {"out": str(directory)}
        path = self._runner.undisturbed / reader.file.format(**places)
        original = path.read_bytes()
        damage = self._rng.choice(reader.kind.damages)
        damaged = damage(original, self._rng)
        damaged = damaged.replace(b"{file}", str(path).encode())
        path.write_bytes(damaged)
        try:
            running = self._runner.start(stage, directory, _limit_memory)
            status = wait_for_end(running[0], _MOST_SECONDS)
        finally:
            path.write_bytes(original)
        output = self._runner.output(stage, 0)
        compares = any(words in output for words in _COMPARISONS)
        # A flag of a flagfile is as good as one of the command line.
        is_flags = reader.kind is FLAGFILE
        named = [] if compares or is_flags else [path.name]
        problem = find_bad_ending(status, output, named)
        is_whole = damaged == original or reader.kind.is_legal(
            damaged, original
        )
        if not problem and status == 0 and not is_whole:
            problem = "it was read, although its damage shows"
        problem = problem or "; ".join(find_leftovers(directory))
        if problem:
            self._keep(path, damaged)
        deed = f"{damage.__name__} of {path.name}, read by {stage.name}"
        return Attempt(reader.kind.name, deed, problem)

    def _keep(self, path: Path, damaged: bytes) -> None:
        """Keeps a file that led to a fault, behind the fault's number."""
        number = len(list(self._kept.iterdir())) + 1
        (self._kept / f"{number:03d}_{path.name}").write_bytes(damaged)


def _limit_memory() -> None:
    """Limits the memory that the process may yet reserve."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MOST_GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
