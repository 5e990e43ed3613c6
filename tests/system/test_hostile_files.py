"""JSON and text files of unknown origin are refused with a reason."""

import dataclasses
import json
import os
import re

import pytest

from distill.datasets.budget_shards import BudgetShards, KeptFrames
from distill.deployment.archive import write_archive
from distill.deployment.interface import read_interface
from distill.evaluation.cascade import Cascade
from distill.evaluation.metrics_files import read_named_scores
from distill.evaluation.prediction_files.conversion import parse_json_line
from distill.evaluation.prediction_files.files import (
    read_predictions,
    to_classes,
)
from distill.models.frame_budget import FrameBudget
from distill.networks.ensemble_file import Ensemble
from distill.settings.class_names import read_class_names
from distill.settings.schema import make_schema
from distill.system.small_files import parse_json_object
from distill.system.typed_json import read_dataclass
from distill.training.class_weights import read_class_weights
from tests.settings_of_runs import make_settings

TEXTS = {
    "empty": (b"", "it is no JSON"),
    "bytes": (b"\x80\x04cos\nsystem\n.", "it is no UTF-8 text (byte 0)"),
    "list": (b"[1]", "it is no JSON object, but a list"),
    "deep": (b'{"a":' * 150_000, "it is nested too deep"),
    "deep lists": (b"[" * 900_000, "it is nested too deep"),
    "large": (b'{"a": "' + b"x" * 1_000_000 + b'"}', "larger than 1,000,000"),
    "infinity": (b'{"a": Infinity}', "the value Infinity, which is no number"),
    "key twice": (b'{"a": 1, "b": 2, "a": 3}', "it holds the key 'a' twice"),
    "long number": (b'{"a": ' + b"9" * 5_000 + b"}", "Exceeds the limit"),
}
FILES = {"pipe": os.mkfifo, "directory": os.mkdir}
FILES["device"] = lambda path: path.symlink_to("/dev/zero")
READERS = {
    "ensemble.json": Ensemble.read,
    "cascade.json": Cascade.read,
    "card.json": lambda path: read_interface(path.parent),
}
CLASS_READERS = {
    "weights": lambda path: read_class_weights(path, 3),
    "names": lambda path: read_class_names(path, 3),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("contents", "message"), TEXTS.values(), ids=TEXTS)
def test_a_file_without_a_json_object_is_refused(
    name, contents, message, tmp_path
):
    path = tmp_path / name
    path.write_bytes(contents)
    pattern = f"^{re.escape(str(path))}.*{re.escape(message)}"
    with pytest.raises(ValueError, match=pattern) as caught:
        READERS[name](path)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_only_regular_files_are_read(make, tmp_path):
    for name, read in (READERS | CLASS_READERS).items():
        make(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name}.*no regular file"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("weights", b"\xff\n1\n1\n", "no weights of 3 classes: it is no UTF-8"),
        (
            "weights",
            b"1\n" * 3_000,
            "no weights of 3 classes: it is larger than",
        ),
        (
            "weights",
            b"1\n1e999\n1\n",
            "line 2: a class's weight must be a posi",
        ),
        (
            "weights",
            b"1\n0x1p3\n1\n",
            "line 2: a class's weight must be a posi",
        ),
        ("names", b"i,n\n0,\xff\n", "holds no class names: it is no UTF-8"),
        ("names", b"i,n\n" + b"0,a\n" * 10_001, "no class names: it is larger"),
        ("names", b'i,n\n0,"' + b"x" * 38_000, "names 1 of 3 classes"),
        ("names", b"i,n\n" + b"9" * 5_000 + b",a\n", "line 2: .* is not INDEX"),
        ("names", b"i,n\n-1,a\n", "line 2: .* is not INDEX"),
        ("names", b"i,n\n3,a\n", "line 2: class 3 has a name already, or is"),
        ("names", b"i,n\n0,a\n0,b\n", "line 3: class 0 has a name already"),
    ],
)
def test_an_invalid_file_of_classes_is_refused(
    name, contents, message, tmp_path
):
    path = tmp_path / name
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=f"^{path}.*{message}") as caught:
        CLASS_READERS[name](path)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (3, "members[0] must be an object"),
        (("a.h5", 10**400), "members[0].weight must be a finite number, got 1"),
        ((3, 1), "members[0].checkpoint must be a text"),
        (("e.json", 1), "A member must be a checkpoint, got the ensemble"),
    ],
)
def test_invalid_members_are_refused(member, message, tmp_path):
    path = tmp_path / "e.json"
    if isinstance(member, tuple):
        checkpoint, weight = member
        member = {"checkpoint": checkpoint, "role": "student", "weight": weight}
    held = {"format": "distill-ensemble-1", "members": [member]}
    path.write_text(json.dumps(held))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        Ensemble.read(path)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budgets": "abc", "thresholds": []}, "budgets must be a list"),
        ({"budgets": [1, "2"], "thresholds": [0.5]}, r"budgets\[1\] must be a"),
        ({"budgets": [1, 2]}, "the field thresholds is missing"),
        ({"budgets": [2, 1], "thresholds": [0.5]}, "cascade_budgets must rise"),
        ({"budgets": [1], "thresholds": [], "x": 1}, "unknown field 'x'"),
    ],
)
def test_a_cascade_with_invalid_fields_is_refused(fields, message, tmp_path):
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match=f"is not a cascade: {message}"):
        Cascade.read(path)


@pytest.mark.parametrize(
    ("interface", "message"),
    [
        (None, "no 'interface'"),
        ({"schema": []}, r"interface.schema must be an object, got \[\]"),
        ({"schema": {"num_classes": 3}}, "interface.schema.frame_features is"),
        ({"schema": {"pickle": 3}}, "unknown field 'interface.schema.pickle'"),
    ],
)
def test_a_card_without_an_interface_is_refused(interface, message, tmp_path):
    (tmp_path / "card.json").write_text(json.dumps({"interface": interface}))
    with pytest.raises(ValueError, match=f"is not an export.s card.*{message}"):
        read_interface(tmp_path)


@pytest.mark.parametrize(
    "artifacts", [None, [3], [{"path": "../../etc/passwd"}], [{"path": 4}]]
)
def test_an_archive_takes_nothing_from_elsewhere(artifacts, tmp_path):
    card = {"interface": {}, "network": {}, "artifacts": artifacts}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="its artifacts are not files beside"):
        write_archive(tmp_path, "../../etc/passwd", 10**9)


def test_every_field_of_settings_is_checked_by_its_type():
    """Each in turn holds a value of another type; the error names it."""
    settings = make_settings()
    fields = parse_json_object(settings.to_json())
    assert read_dataclass(type(settings), fields) == settings
    kinds = {str: 3, int: "3", float: "3", bool: 3, list: 3, dict: 3}
    checked = 0
    for part in ("data", "training", "distillation", "teacher", "student"):
        for name, value in fields[part].items():
            if value is None:
                continue
            spoiled = fields | {part: fields[part] | {name: kinds[type(value)]}}
            with pytest.raises(ValueError, match=f"^{part}.{name} must be"):
                read_dataclass(type(settings), spoiled)
            checked += 1
    assert checked > 45
    for field in dataclasses.fields(settings):
        if field.name in ("data", "student", "training"):
            with pytest.raises(ValueError, match=f"{field.name} is missing"):
                read_dataclass(
                    type(settings),
                    {k: v for k, v in fields.items() if k != field.name},
                )


HEADER = "VideoId,LabelConfidencePairs\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v,1 0.5 1 0.5", "the class 1 occurs a second time."),
        ("v,1 0.5 2", "a class and its score must come in pairs, got 3"),
        ("v," + "9" * 5_000 + " 0.5", "a class must be a whole number, 0 or"),
        ("v," + "9" * 900 + " 0.5", "a class must be from 0 to 999999, got 99"),
        ("v,1 " + "9" * 5_000, "a score must be a number from 0 to 1, got '99"),
        ("v,1 nan", "a score must be a number from 0 to 1, got 'nan'"),
        ("v" * 5_000, "an id and a comma must come first, got 'vvv"),
        ("\x00\x00", "an id and a comma must come first, got"),
        ("v," + "1" * 2**24, "it has more than 16,777,216 characters"),
    ],
)
def test_an_invalid_line_of_predictions_is_named(line, message, tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(f"{HEADER}a,1 0.5\n{line}\n")
    message = f"^{re.escape(f'{path}, line 3: {message}')}"
    with pytest.raises(ValueError, match=message) as caught:
        list(read_predictions([path]))
    assert len(str(caught.value)) < 500


class ComparedInt(int):
    """A whole number that counts how often such numbers are compared."""

    num_compared = 0

    def __eq__(self, other):
        """Compares the numbers and counts that."""
        ComparedInt.num_compared += 1
        return int(self) == int(other)

    __hash__ = int.__hash__


def test_a_class_that_comes_twice_among_many_is_found_at_once(tmp_path):
    """No class is compared with all others."""
    path = tmp_path / "p.csv"
    pairs = " ".join(f"{index} 0" for index in [*range(200_000), 199_999])
    path.write_text(f"{HEADER}v,{pairs}\n")
    with pytest.raises(ValueError, match="the class 199999 occurs a second"):
        list(read_predictions([path]))
    classes = [ComparedInt(index) for index in (*range(2000), 1999)]
    with pytest.raises(ValueError, match="the class 1999 occurs a second"):
        to_classes(classes, None)
    assert 0 < ComparedInt.num_compared < 10_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[" * 100_000, "the line is not JSON"),
        ("\xff", "the line is not JSON"),
        ('{"video_id": "v", "class_indexes": [true], "predictions": [1]}', "a"),
        (
            '{"video_id": "v", "class_indexes": [1], "predictions": [1'
            + "0" * 400
            + "]}",
            "a score must be a number from 0 to 1, got 1000",
        ),
    ],
)
def test_an_invalid_json_line_of_predictions_is_refused(line, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        parse_json_line(line)
    assert len(str(caught.value)) < 500


SOURCES = (b"3", b'{"a.tfrecord": []}')


@pytest.mark.parametrize(
    "contents",
    [b"[]", b"{" * 9_000, b'{"sources": {}}']
    + [b'{"sources": %s, "settings": {}}' % source for source in SOURCES],
)
def test_an_invalid_description_of_shards_is_named(contents, tmp_path):
    source = tmp_path / "in" / "a.tfrecord"
    source.parent.mkdir()
    source.write_bytes(b"records")
    shards = tmp_path / "out"
    shards.mkdir()
    (shards / "a.tfrecord").touch()
    (shards / "budget_shards.json").write_bytes(contents)
    kept = KeptFrames(make_schema("audioset"), FrameBudget.every(2))
    with pytest.raises(ValueError, match=r"budget_shards.json describes no sh"):
        BudgetShards(kept, [str(source)], shards)


@pytest.mark.parametrize(
    "contents", ["[3]", "{}", "[" * 9_000, "nothing", '"role"']
)
def test_an_invalid_file_of_metrics_is_named(contents, tmp_path):
    path = tmp_path / "m.json"
    path.write_text(contents)
    with pytest.raises(ValueError, match=f"{path} is not a metrics file: "):
        read_named_scores([f"a={path}"])
