"""Archives of artifacts: read wherever an artifact is, refused if hostile."""

import gzip
import io
import json
import re
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import stage_runs
from stage_runs import error_line, run_script

import distill
from distill.deployment import unpacking
from distill.deployment.archive import write_archive
from distill.deployment.package import write_package
from distill.deployment.scoring import evaluate
from distill.deployment.unpacking import unpacked
from distill.networks.loading import load_network

FORMATS = ["saved_model", "keras", "onnx", "litert"]
ARTIFACTS = ("saved_model", "model.keras", "model.onnx", "model.tflite")


@pytest.fixture(scope="module")
def exported(videos, logistic_checkpoint, tmp_path_factory):
    """Returns an export's directory with an archive of each artifact."""
    network = load_network(logistic_checkpoint, "student")
    folder = stage_runs.write_export(
        logistic_checkpoint,
        network,
        stage_runs.validation_reader(videos),
        tmp_path_factory.mktemp("archives") / "export",
        FORMATS,
    )
    for name in ARTIFACTS:
        write_archive(folder, name, 10**9)
    return folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Returns the folder in which archives are unpacked; it ends up empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ARTIFACTS)
def test_an_archived_artifact_predicts_and_leaves_nothing(
    name, exported, temporary
):
    example = np.load(exported / "example.npz")
    archive = exported / f"{name}.tar.gz"
    predictor = distill.Predictor.load(archive)
    assert not list(temporary.iterdir())
    count = example["num_frames"][0]
    video = predictor.check(example["frames"][0, :count])
    found = predictor.probabilities([video])
    np.testing.assert_allclose(found, example["predictions"], atol=1e-5)
    assert predictor.name == archive.name


def test_an_archive_is_scored_as_its_artifact(exported, videos, temporary):
    pattern = f"{videos}/validate-*.tfrecord"
    archive = exported / "model.onnx.tar.gz"
    found = evaluate(archive, pattern)
    expected = evaluate(exported / "model.onnx", pattern)
    assert found["checkpoint"] == str(archive)
    for each in (found, expected):
        for name in ("checkpoint", "examples_per_second"):
            del each[name]
    assert found == expected


def test_the_archive_of_a_whole_export_holds_its_first_artifact(
    exported, tmp_path, temporary
):
    path = tmp_path / "all.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(exported, "student")
    with unpacked(path) as artifact:
        assert artifact.relative_to(artifact.parents[1]).parts == (
            "student",
            "saved_model",
        )
        stored = exported / "saved_model" / "saved_model.pb"
        found = artifact / "saved_model.pb"
        assert found.read_bytes() == stored.read_bytes()


def test_a_folder_for_the_hub_is_written_from_an_archive(exported, tmp_path):
    path = tmp_path / "model.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("card.json", "class_names.csv", "example.npz"):
            archive.add(exported / name, name)
        archive.add(exported / "model.onnx", "model.onnx")
    write_package(path, tmp_path / "hub")
    expected = tmp_path / "expected"
    write_package(exported / "model.onnx", expected)
    for file in expected.iterdir():
        text = file.read_bytes().replace(b'"expected"', b'"hub"')
        assert (tmp_path / "hub" / file.name).read_bytes() == text


def test_a_path_without_an_archive_s_name_is_left_alone(tmp_path, temporary):
    for path in (tmp_path / "model.onnx", tmp_path / "missing"):
        with unpacked(path) as same:
            assert same == path
    with pytest.raises(ValueError, match=r"There is no archive .*a\.tgz"):
        unpacked(tmp_path / "a.tgz").__enter__()


def member(name, kind=tarfile.REGTYPE, content=b"", **fields):
    found = tarfile.TarInfo(name)
    found.type, found.size = kind, len(content)
    for key, value in fields.items():
        setattr(found, key, value)
    return found, io.BytesIO(content)


def write_tar(path, *members):
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for found, content in members:
            archive.addfile(found, content)
    return path


HOSTILE = {
    "absolute": (member("/etc/passwd"), "its path leaves the archive"),
    "above": (member("a/../../b"), "its path leaves the archive"),
    "link": (
        member("link", tarfile.SYMTYPE, linkname="/etc"),
        "it is neither a plain file nor a folder",
    ),
    "hard link": (
        member("link", tarfile.LNKTYPE, linkname="card.json"),
        "it is neither a plain file nor a folder",
    ),
    "device": (
        member("null", tarfile.CHRTYPE, devmajor=1, devminor=3),
        "it is neither a plain file nor a folder",
    ),
    "pipe": (member("pipe", tarfile.FIFOTYPE), "it is neither a plain file"),
    "twice": (member("card.json"), "another member has its path"),
    "below a file": (member("card.json/a"), "another member has its path"),
}


@pytest.mark.parametrize(("wrong", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_member_that_is_no_file_within_is_refused(
    wrong, message, tmp_path, temporary
):
    first = member("card.json", content=b"{}")
    path = write_tar(tmp_path / "a.tgz", first, wrong)
    place = re.escape(f"{path}, member {wrong[0].name!r}: {message}")
    with pytest.raises(ValueError, match=f"^{place}"):
        unpacked(path).__enter__()
    assert set(tmp_path.iterdir()) == {temporary, path}


def test_an_archive_has_a_most_of_members_and_bytes(
    tmp_path, temporary, monkeypatch
):
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 3)
    path = write_tar(tmp_path / "a.tgz", *(member(f"f{n}") for n in range(4)))
    with pytest.raises(ValueError, match="'f3': the archive has more than 3 m"):
        unpacked(path).__enter__()
    monkeypatch.setattr(unpacking, "MOST_BYTES", 100_000)
    zeros = [member(f"f{n}", content=b"\0" * 60_000) for n in range(2)]
    path = write_tar(tmp_path / "b.tgz", *zeros)
    assert path.stat().st_size < 1_000
    with pytest.raises(
        ValueError, match=r"'f1': the archive has more than .* b"
    ):
        unpacked(path).__enter__()


def test_a_bomb_of_a_name_or_of_an_end_is_not_read(
    tmp_path, temporary, monkeypatch
):
    """A long name is read into memory; what follows the end is read too."""
    path = write_tar(tmp_path / "a.tgz", member("x" * 2**21))
    with pytest.raises(ValueError, match="has too long a header"):
        unpacked(path).__enter__()
    monkeypatch.setattr(unpacking, "MOST_BYTES", 2**22)
    path = tmp_path / "b.tgz"
    with gzip.open(path, "wb") as file:
        file.write(b"\0" * 2**23)
    with pytest.raises(ValueError, match=r"more than .* bytes unpacked"):
        unpacked(path).__enter__()


def cut(content):
    return content[: len(content) // 2]


def flip_checksum(content):
    return content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]


def spoil_header(content):
    """Damages the header of the second member, as gzip compresses it."""
    plain = bytearray(gzip.decompress(content))
    plain[1024 + 150] ^= 1
    return gzip.compress(bytes(plain))


@pytest.mark.parametrize(
    "spoil",
    [cut, flip_checksum, spoil_header, lambda _: b"PK", lambda _: b""],
    ids=["cut", "checksum", "header", "zip", "empty"],
)
def test_a_damaged_archive_is_named(spoil, tmp_path, temporary):
    content = np.random.default_rng(0).bytes(5_000)
    files = [member("card.json", content=b"{}"), member("a", content=content)]
    path = write_tar(tmp_path / "a.tgz", *files)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=f"^{path}.*damaged") as caught:
        unpacked(path).__enter__()
    assert "\n" not in str(caught.value)


def test_an_archive_of_something_else_is_named(exported, tmp_path, temporary):
    path = write_tar(tmp_path / "a.tgz", member("inference_model.meta"))
    message = "holds no card.json, so it is not the archive of an export; it "
    with pytest.raises(ValueError, match=f"{message}holds inference_model.me"):
        unpacked(path).__enter__()
    card = (exported / "card.json").read_bytes()
    path = write_tar(tmp_path / "b.tgz", member("card.json", content=card))
    with pytest.raises(ValueError, match="holds none of its card's artifacts"):
        unpacked(path).__enter__()
    rows = json.loads(card)
    rows["artifacts"] = [{"path": "model.onnx"}]
    files = [
        member("card.json", content=json.dumps(rows).encode()),
        member("model.onnx", content=b"no model"),
    ]
    path = write_tar(tmp_path / "c.tgz", *files)
    with pytest.raises(ValueError, match=rf"^{path}/model\.onnx cannot be"):
        distill.Predictor.load(path)


@pytest.mark.slow
def test_the_verb_infers_with_an_archive(exported, videos, tmp_path):
    flags = [
        f"--input_data_pattern={videos}/validate-*.tfrecord",
        f"--output_file={tmp_path}/p.csv",
        "--gpu=-1",
    ]
    archive = exported / "model.onnx.tar.gz"
    run_script("infer", f"--artifact={archive}", *flags)
    lines = Path(f"{tmp_path}/p.csv").read_text().splitlines()
    assert len(lines) == 1 + stage_runs.NUM_VALIDATE_VIDEOS
    bad = write_tar(tmp_path / "a.tgz", HOSTILE["above"][0])
    done = run_script("infer", f"--artifact={bad}", *flags, status=1)
    message = f"{bad}, member 'a/../../b': its path leaves the archive."
    assert message in error_line(done)
