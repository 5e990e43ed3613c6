"""Arrays of every source become records that hold what NumPy expects."""

import csv
import itertools
import re

import h5py
import numpy as np
import pytest

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.datasets import packed_data
from distill.datasets.array_sources import open_arrays
from distill.datasets.array_videos import ArrayVideo
from distill.datasets.pack import write_records
from distill.settings.pack import PackSettings
from tests.data.record_files import decode_video, read_records, unbatch

SIZES = {"rgb": 3, "audio": 2}
ONE_SHARD = PackSettings(num_shards=1)


def draw_arrays(count=7, sizes=SIZES):
    """Returns the features and the labels of some videos by their ids."""
    random = np.random.default_rng(4)
    videos = {}
    for number in range(count):
        length = random.integers(1, 6)
        features = {
            name: random.uniform(-1.9, 1.9, (length, size)).astype(np.float32)
            for name, size in sizes.items()
        }
        labels = (
            ["cat", "dog"] if number == 2 else ["dog" if number % 2 else "ant"]
        )
        videos[f"v{number}"] = (features, labels)
    return videos


def as_triples(videos):
    return [(name, *held) for name, held in videos.items()]


def nearest_bytes(array, least=-2.0, most=2.0):
    """Returns the bytes whose numbers, of all 256, lie nearest."""
    numbers = (
        np.arange(256) * (most - least) / 255 + (most - least) / 512 + least
    )
    return np.abs(array[..., None] - numbers).argmin(axis=-1)


def read_packed(folder, packed, split="train"):
    """Returns the videos that the reader reads, by id."""
    files = find_files(f"{folder}/{split}-*.tfrecord")
    reader = VideoReader(packed.schema, files, batch_size=3)
    return {
        video["id"].decode(): video for video in unbatch(reader.read_once())
    }


def assert_packed(folder, packed, videos):
    """Checks that the reader finds the arrays as bytes, and the labels."""
    read = read_packed(folder, packed)
    assert read.keys() == videos.keys()
    for name, (features, labels) in videos.items():
        found = read[name]
        joined = [features[each] for each in packed.schema.feature_names]
        expected = nearest_bytes(np.concatenate(joined, axis=1))
        assert found["num_frames"] == len(expected)
        np.testing.assert_array_equal(
            found["frames"][: len(expected)], expected
        )
        assert not found["frames"][len(expected) :].any()
        named = np.array(packed.class_names)[found["labels"]]
        assert sorted(named) == sorted(labels)


def write_npz_folder(folder, videos):
    folder.mkdir()
    for name, (features, labels) in videos.items():
        np.savez(folder / f"{name}.npz", labels=labels, **features)
    return folder


def write_hdf5_groups(folder, videos):
    folder.mkdir()
    with h5py.File(folder / "videos.h5", "w") as file:
        for name, (features, labels) in videos.items():
            for feature, array in features.items():
                file[f"{name}/{feature}"] = array
            if name == "v0":
                file[name].attrs["labels"] = labels[0]
            else:
                file[f"{name}/labels"] = labels
    return folder / "videos.h5"


def write_parquet(folder, videos):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder.mkdir()
    frames = pyarrow.list_(pyarrow.list_(pyarrow.float32()))
    # As other programs write them: of a fixed width.
    fixed = pyarrow.list_(pyarrow.list_(pyarrow.float32(), SIZES["audio"]))
    columns = {
        "id": pyarrow.array(list(videos)),
        "labels": pyarrow.array([labels for _, labels in videos.values()]),
        "rgb": [held["rgb"].tolist() for held, _ in videos.values()],
        "audio": [held["audio"].tolist() for held, _ in videos.values()],
        "url": pyarrow.array(["unused"] * len(videos)),
    }
    columns["rgb"] = pyarrow.array(columns["rgb"], frames)
    columns["audio"] = pyarrow.array(columns["audio"], fixed)
    parquet.write_table(pyarrow.table(columns), folder / "videos.parquet")
    return folder / "videos.parquet"


def write_manifest(folder, videos):
    """Writes an .npz a video and a line that names it."""
    folder.mkdir()
    with open(folder / "videos.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "labels", "id"])
        for number, (name, (features, labels)) in enumerate(videos.items()):
            np.savez(folder / f"{number}.npz", **features)
            writer.writerow([f"{number}.npz", "; ".join(labels), name])
    return folder / "videos.csv"


def write_manifest_of_features(folder, videos):
    """Writes an .npy a feature and a line that names both."""
    folder.mkdir()
    with open(folder / "videos.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "rgb", "audio", "labels"])
        for name, (features, labels) in videos.items():
            for feature, array in features.items():
                np.save(folder / f"{name}_{feature}.npy", array)
            files = [f"{name}_{feature}.npy" for feature in ("rgb", "audio")]
            writer.writerow([name, *files, ";".join(labels)])
    return folder / "videos.csv"


SOURCES = {
    "npz": write_npz_folder,
    "hdf5": write_hdf5_groups,
    "parquet": write_parquet,
    "manifest": write_manifest,
    "manifest of features": write_manifest_of_features,
}


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        *((kind, ()) for kind in SOURCES),
        *zip(
            SOURCES,
            itertools.cycle([("rgb", "audio"), ("rgb",)]),
            strict=False,
        ),
    ],
)
def test_every_source_is_read_back_as_numpy_expects(kind, names, tmp_path):
    videos = draw_arrays()
    source = open_arrays(SOURCES[kind](tmp_path / "arrays", videos), names)
    settings = PackSettings(feature_names=names, num_shards=3)
    packed = write_records(source, tmp_path / "packed", settings)
    assert packed.schema.feature_names == (names or ("audio", "rgb"))
    assert packed.class_names == ("ant", "cat", "dog")
    assert packed.num_videos == {"train": 7}
    longest = max(len(held["rgb"]) for held, _ in videos.values())
    assert packed.schema.max_frames == longest
    assert_packed(tmp_path / "packed", packed, videos)


def write_class_folders(folder, videos):
    for name, (features, labels) in videos.items():
        (folder / labels[0]).mkdir(parents=True, exist_ok=True)
        np.save(folder / labels[0] / f"{name}.npy", features["rgb"])
    return folder


def write_hdf5_datasets(folder, videos):
    folder.mkdir()
    with h5py.File(folder / "videos.hdf5", "w") as file:
        for name, (features, labels) in videos.items():
            file[name] = features["rgb"]
            file[name].attrs["labels"] = labels
    return folder / "videos.hdf5"


@pytest.mark.parametrize(
    ("write", "in_folders"),
    [(write_class_folders, True), (write_hdf5_datasets, False)],
)
@pytest.mark.parametrize("names", [(), ("image",)])
def test_arrays_without_a_name_are_one_feature(
    write, in_folders, names, tmp_path
):
    videos = draw_arrays(sizes={"rgb": 3})
    del videos["v2"]  # of two classes
    source = open_arrays(write(tmp_path / "arrays", videos), names)
    packed = write_records(source, tmp_path / "packed", ONE_SHARD)
    name = names[0] if names else "frames"
    assert packed.schema.feature_names == (name,)
    expected = {
        f"{labels[0]}/{key}" if in_folders else key: (
            {name: features["rgb"]},
            labels,
        )
        for key, (features, labels) in videos.items()
    }
    assert_packed(tmp_path / "packed", packed, expected)


def test_the_share_of_clipped_values_is_counted(tmp_path):
    array = np.array([[0.0, 3.0], [-2.0, 2.0], [-2.5, 1.0], [0.5, 9.0]])
    videos = [("a", {"x": array}, 0), ("b", {"x": array[:1]}, [1])]
    packed = write_records(videos, tmp_path / "a", ONE_SHARD)
    assert packed.clipped == 4 / 10
    (record, _) = read_records(tmp_path / "a/train-00000-of-00001.tfrecord")
    frames = decode_video(record, packed.schema).features["x"]
    # 0 and 1 stand between bytes: 0 is read as 127 (-0.0001) or 128 (0.0157).
    assert frames.tolist() == [[127, 255], [0, 255], [0, 191], [159, 255]]
    assert packed.schema.quantisation_range == (-2, 2)

    auto = PackSettings(num_shards=1, quantisation_range="auto")
    packed = write_records(videos, tmp_path / "b", auto)
    assert packed.clipped == 0
    assert packed.schema.quantisation_range == (-2.5, 9)
    (record, _) = read_records(tmp_path / "b/train-00000-of-00001.tfrecord")
    frames = decode_video(record, packed.schema).features["x"]
    np.testing.assert_array_equal(frames, nearest_bytes(array, -2.5, 9.0))


def test_whole_numbers_are_bytes_and_floats_may_be_kept(tmp_path):
    array = np.array([[0, 255], [7, 128]])
    packed = write_records([("a", {"x": array}, 0)], tmp_path / "a", ONE_SHARD)
    found = read_packed(tmp_path / "a", packed)["a"]["frames"]
    assert (found.dtype, packed.clipped) == (np.uint8, None)
    np.testing.assert_array_equal(found, array)

    settings = PackSettings(num_shards=1, float_frames=True)
    floats = np.array([[1e9, -0.1], [1 / 3, 0.0]])
    packed = write_records([("a", {"x": floats}, 0)], tmp_path / "b", settings)
    found = read_packed(tmp_path / "b", packed)["a"]["frames"]
    assert (found.dtype, packed.clipped) == (np.float32, None)
    np.testing.assert_array_equal(found, floats.astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "names", "num_classes", "expected", "vocabulary"),
    [
        ([3, [0, 1]], None, None, [{3}, {0, 1}], None),
        (["3", "10"], None, None, [{3}, {10}], None),
        ([b"b", np.array(["c", "a"])], None, None, [{1}, {2, 0}], "abc"),
        (["3", "b"], None, None, [{0}, {1}], "3b"),
        (["b", 0], ("c", "b"), None, [{1}, {0}], "cb"),
        ([2, 2], None, 6, [{2}, {2}], None),
    ],
)
def test_labels_are_numbers_or_names(
    labels, names, num_classes, expected, vocabulary, tmp_path
):
    array = np.zeros((1, 2))
    videos = [(str(n), {"x": array}, each) for n, each in enumerate(labels)]
    settings = PackSettings(num_shards=1, num_classes=num_classes)
    packed = write_records(videos, tmp_path / "a", settings, names)
    read = read_packed(tmp_path / "a", packed)
    found = [set(np.flatnonzero(read[each]["labels"])) for each in sorted(read)]
    assert found == expected
    names_file = tmp_path / "a/class_names.csv"
    if vocabulary is None:
        assert packed.class_names is None
        assert not names_file.exists()
        return
    assert packed.class_names == tuple(vocabulary)
    lines = [f"{index},{name}" for index, name in enumerate(vocabulary)]
    assert names_file.read_text().splitlines() == ["index,name", *lines]


def test_splits_follow_from_the_ids_or_are_given(tmp_path):
    array = np.zeros((1, 2))
    videos = [(f"v{n}", {"x": array}, n % 2) for n in range(300)]
    settings = PackSettings(validate_fraction=0.2)
    packed = write_records(videos, tmp_path / "a", settings)
    held_out = read_packed(tmp_path / "a", packed, "validate").keys()
    others = read_packed(tmp_path / "a", packed).keys()
    assert packed.num_videos == {
        "train": len(others),
        "validate": len(held_out),
    }
    assert held_out | others == {f"v{n}" for n in range(300)}
    assert 35 <= len(held_out) <= 85  # 60 expected, deviation 7
    # Other videos and another order change no video's split.
    packed = write_records(videos[:99:-1], tmp_path / "b", settings)
    later = read_packed(tmp_path / "b", packed, "validate").keys()
    assert later == held_out & {f"v{n}" for n in range(100, 300)}

    given = [
        ArrayVideo(*each, split="ab"[n % 2]) for n, each in enumerate(videos)
    ]
    packed = write_records(given, tmp_path / "c")
    assert packed.num_videos == {"a": 150, "b": 150}
    assert "v1" in read_packed(tmp_path / "c", packed, "b")


def test_the_column_split_of_a_file_is_followed(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 2)))
    np.save(tmp_path / "b.npy", np.zeros((1, 2)))
    manifest = tmp_path / "videos.csv"
    manifest.write_text("path,labels,split\na.npy,1,train\nb.npy,0,validate\n")
    packed = write_records(open_arrays(manifest), tmp_path / "packed")
    assert packed.num_videos == {"train": 1, "validate": 1}
    assert read_packed(tmp_path / "packed", packed, "validate").keys() == {"b"}


def test_videos_that_are_iterated_once_need_classes_and_a_range(tmp_path):
    videos = as_triples(draw_arrays())
    with pytest.raises(ValueError, match="iterated once only"):
        write_records(iter(videos), tmp_path / "a")
    write_records(iter(videos), tmp_path / "a", None, ("ant", "cat", "dog"))
    write_records(videos, tmp_path / "b")
    for path in (tmp_path / "a").glob("*.tfrecord"):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


GOOD = ("a", {"x": np.zeros((2, 3))}, 0)
BAD_VIDEOS = [
    (
        ("b", {"x": np.zeros((2, 4))}, 0),
        "feature 'x' has 4 numbers a frame, in",
    ),
    (("b", {"x": np.zeros(3)}, 0), r"must be numbers .*, got float64 \[3\]"),
    (("b", {"x": np.zeros((0, 3))}, 0), r"one or more, got float64 \[0, 3\]"),
    (("b", {"x": [[1.0, 2.0], [3.0]]}, 0), "frames of feature 'x' differ in"),
    (("b", {"x": [["a"] * 3]}, 0), "must be numbers"),
    (("b", {"x": np.full((2, 3), np.nan)}, 0), "frame 0 of feature 'x' holds"),
    (("b", {"x": np.zeros((2, 3), int)}, 0), "holds whole numbers, in the"),
    (("b", {"y": np.zeros((2, 3))}, 0), r"no feature 'x'; it has \['y'\]"),
    (("b", GOOD[1] | {"y": np.zeros((2, 3))}, 0), "has the feature 'y', which"),
    (("a", GOOD[1], 0), "another video has the id 'a'"),
    (("", GOOD[1], 0), "the id '' is not a text"),
    (("b", GOOD[1], []), "it has no label"),
    (("b", GOOD[1], 0.5), "the label 0.5 is neither a whole number nor a name"),
    (("b", GOOD[1], -1), "label -1 is outside the 1 classes"),
    (("b", GOOD[1], 0, "a b"), "a split must be made of letters"),
]


@pytest.mark.parametrize(("video", "message"), BAD_VIDEOS)
def test_a_bad_video_is_named_and_nothing_is_written(video, message, tmp_path):
    place = f"^Video {video[0]!r}: .*{message}"
    with pytest.raises(ValueError, match=place):
        write_records([GOOD, video], tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    write_records([GOOD], tmp_path / "old", ONE_SHARD)
    before = {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()}
    with pytest.raises(ValueError, match=place):
        write_records([GOOD, video], tmp_path / "old")
    after = {p.name: p.read_bytes() for p in (tmp_path / "old").iterdir()}
    assert after == before


@pytest.mark.parametrize(
    ("videos", "fields", "names", "message"),
    [
        ([], {}, None, "There is no video"),
        ([], {"num_classes": 2}, None, "There is no video"),
        ([GOOD, ("b", GOOD[1], "cat")], {}, None, "names, others numbers .* 0"),
        (
            [("b", GOOD[1], "cat")],
            {"num_classes": 2},
            None,
            "Video 'b': label 'cat' is not among numbers",
        ),
        ([("b", GOOD[1], "c")], {}, ("a", "b"), "'c' is not among the 2 class"),
        ([GOOD], {"num_classes": 3}, ("a", "b"), "must be 3 different names"),
        ([GOOD], {}, ("a", "a"), "got 2, 1 of them different"),
        (
            [GOOD],
            {"validate_fraction": 0.5},
            None,
            "leaves no video of 1 for (train|validate)",
        ),
        ([GOOD], {"quantisation_range": "auto"}, None, "must be above"),
        (
            [("a", {"x": np.zeros((2, 3), int)}, 0)],
            {"quantisation_range": "auto"},
            None,
            "quantisation_range=auto needs floats",
        ),
        (
            [("a", {"x": np.full((2, 3), 256)}, 0)],
            {},
            None,
            "whole numbers from 256 to 256: they are taken for bytes",
        ),
        (
            [("a", {"x": np.full((2, 3), 1e39)}, 0)],
            {"float_frames": True},
            None,
            "frame 0 of feature 'x' holds the value inf",
        ),
        ([("a", {"x y": np.zeros((2, 3))}, 0)], {}, None, "holds a comma or"),
        ([("a", 0)], {}, None, r"Video 0 is not \(id, features, labels\)"),
        (
            [(*GOOD, "train")],
            {"validate_fraction": 0.5},
            None,
            "give splits or validate_fraction, not both",
        ),
        (
            [("a", GOOD[1] | {"y": np.zeros((3, 1))}, 0)],
            {},
            None,
            "differ in their number of frames: {'x': 2, 'y': 3}",
        ),
    ],
)
def test_data_that_do_not_fit_the_settings_are_refused(
    videos, fields, names, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        write_records(videos, tmp_path / "a", PackSettings(**fields), names)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantisation_min": 2.0}, "quantisation_max must be above"),
        ({"quantisation_max": float("inf")}, "both finite, got inf and -2.0"),
        ({"quantisation_range": "car"}, "Unknown quantisation_range 'car'"),
        (
            {"quantisation_range": "auto", "float_frames": True},
            "float_frames keeps floats",
        ),
        ({"validate_fraction": 1.0}, "validate_fraction must be below 1"),
        ({"num_shards": 0}, "num_shards must be 1 or more"),
        ({"feature_names": ("x", "x")}, "holds a name twice"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PackSettings(**fields)


def test_a_folder_of_other_files_is_not_replaced(tmp_path):
    write_records([GOOD], tmp_path / "a")
    (tmp_path / "a/notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"a would be .* but holds notes\.txt"):
        write_records([GOOD], tmp_path / "a")
    assert (tmp_path / "a/notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="must not hold a comma"):
        write_records([GOOD], tmp_path / "a,b")


def test_an_interrupted_call_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(packed_data, "write_class_names", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_records([("a", GOOD[1], "cat")], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def spoil_parquet(folder, **columns):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table(columns), folder / "a.parquet")
    return folder / "a.parquet"


def write_text(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def save(folder, name, *arrays, **named):
    (folder / name).parent.mkdir(exist_ok=True, parents=True)
    if arrays:
        np.save(folder / name, *arrays)
    else:
        np.savez(folder / name, **named)
    return folder


def write_hdf5(folder, **labels):
    with h5py.File(folder / "a.h5", "w") as file:
        file["v"] = np.zeros((2, 3))
        file["v"].attrs.update(labels)
    return folder / "a.h5"


def write_false_size(folder):
    """Writes a dataset of eight terabytes, of which none is stored."""
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("v", (10**6, 10**6), "f8", chunks=(1, 10**6))
    return folder / "a.h5"


def damage_groups(folder):
    """Writes groups and spoils the signatures of all their names."""
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        file["v/x"] = np.zeros((2, 3))
    path.write_bytes(path.read_bytes().replace(b"SNOD", b"\1\2\3\4"))
    return path


BAD_SOURCES = {
    "missing": (lambda folder: folder / "no.h5", "There is no .*no.h5"),
    "empty folder": (lambda folder: folder, "holds no .npy or .npz file"),
    "other suffix": (
        lambda folder: write_text(folder, "a.txt", ""),
        "a.txt is neither a folder",
    ),
    "npy without labels": (
        lambda folder: save(folder, "a.npy", np.zeros((2, 3))),
        "a.npy has no labels: store them",
    ),
    "npy of objects": (
        lambda folder: save(folder, "c/a.npy", np.array([None])),
        "a.npy cannot be read: Object arrays cannot be loaded",
    ),
    "npy of one axis": (
        lambda folder: save(folder, "c/a.npy", np.zeros(3)),
        r"c/a.npy: feature 'frames' must be numbers",
    ),
    "no npz": (
        lambda folder: write_text(folder, "a.npz", "PK\3\4").parent,
        "a.npz cannot be read",
    ),
    "no HDF5": (
        lambda folder: write_text(folder, "a.h5", "x"),
        "a.h5 cannot be read",
    ),
    "HDF5 without labels": (write_hdf5, "a.h5, 'v' has no 'labels'"),
    "HDF5 of a bad label": (
        lambda folder: write_hdf5(folder, labels=0.5),
        "a.h5, 'v': the label 0.5 is neither",
    ),
    "HDF5 of damaged groups": (damage_groups, "a.h5 cannot be read: Unable to"),
    "HDF5 of a false size": (
        write_false_size,
        "a.h5, 'v' cannot be read: /v would have 8,000,000,000,000 bytes",
    ),
    "HDF5 of a split that is no text": (
        lambda folder: write_hdf5(folder, labels=1, split=np.bytes_(b"\xff")),
        "a.h5, 'v' cannot be read: 'utf-8' codec",
    ),
    "no Parquet": (
        lambda folder: write_text(folder, "a.parquet", "x"),
        "a.parquet cannot be read",
    ),
    "Parquet without labels": (
        lambda folder: spoil_parquet(folder, id=["a"], x=[[[1.0]]]),
        "a.parquet has no column 'labels'; it has",
    ),
    "Parquet of unequal frames": (
        lambda folder: spoil_parquet(
            folder, id=["a"], labels=[1], x=[[[1.0], [1.0, 2.0]]]
        ),
        r"row 0 \(a\): its frames differ in width: \[1, 2\]",
    ),
    "Parquet of a null": (
        lambda folder: spoil_parquet(
            folder, id=["a", "b"], labels=[1, 1], x=[[[1.0]], None]
        ),
        r"row 1 \(b\): a list of frames, or a frame, is null",
    ),
    "manifest without labels": (
        lambda folder: write_text(folder, "a.csv", "path\nb.npy\n"),
        "a.csv has no column 'labels'",
    ),
    "manifest of no file": (
        lambda folder: write_text(folder, "a.csv", "path,labels\nb.npy,1\n"),
        "a.csv, line 2: .*b.npy cannot be read",
    ),
    "manifest of too few fields": (
        lambda folder: write_text(folder, "a.csv", "path,labels\nb.npy\n"),
        "a.csv, line 2: it must have 2 fields",
    ),
    "manifest of no label": (
        lambda folder: write_text(
            save(folder, "b.npy", np.zeros((2, 3))),
            "a.csv",
            "path,labels\nb.npy,\n",
        ),
        r"a.csv, line 2 \(b\): it has no label",
    ),
}


@pytest.mark.parametrize(
    ("make", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES
)
def test_errors_of_a_source_name_file_and_video(make, message, tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match=message) as error:
        write_records(open_arrays(make(tmp_path / "in")), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert re.match(re.escape(str(tmp_path)) + "|There is no", str(error.value))
    assert "\n" not in str(error.value)
