"""A PCA of the frames of records and of arrays, against NumPy."""

import dataclasses

import h5py
import numpy as np
import pytest

from distill.data.bad_records import BadRecordError
from distill.data.files import find_files
from distill.datasets.fit_pca import (
    describe_fit,
    fit_pca,
    read_array_frames,
    read_record_frames,
    schema_of_feature,
)
from distill.datasets.pack import write_records
from distill.extraction.pca import load_pca
from distill.settings.pack import PackSettings
from distill.settings.pca import PcaSettings
from distill.settings.schema import make_schema
from distill.system.write_errors import WriteError
from tests.data.record_files import SHARED, decode_video
from tests.data.record_files import read_records as records_of

AUDIOSET = SHARED / "data" / "audioset"
SIZES = {"rgb": 6, "audio": 3}


def draw_videos(kind=np.float32, count=30):
    random = np.random.default_rng(1)
    mixing = random.normal(size=(6, 6)) * 0.3
    videos = []
    for number in range(count):
        length = random.integers(1, 9)
        rgb = random.normal(size=(length, 6)) @ mixing
        audio = random.normal(size=(length, 3)) * (0.7, 0.4, 0.1)
        features = {"rgb": rgb, "audio": audio}
        if kind == np.uint8:
            features = {
                name: ((array + 2) * 60).clip(0, 255)
                for name, array in features.items()
            }
        arrays = {name: array.astype(kind) for name, array in features.items()}
        videos.append((f"v{number}", arrays, [number % 3]))
    return videos


def frames_of(videos, name):
    return np.concatenate([features[name] for _, features, _ in videos])


def dequantised(frames, least=-2.0, most=2.0):
    return frames * (most - least) / 255 + (most - least) / 512 + least


def assert_file_is_pca_of(path, frames, num_components):
    """Checks what the file makes of frames by `np.cov`, signs aside."""
    values, vectors = np.linalg.eigh(np.cov(frames.T.astype(np.float64)))
    values, vectors = values[::-1], vectors[:, ::-1]
    expected = (frames - frames.mean(axis=0)) @ vectors[:, :num_components]
    expected /= np.sqrt(values[:num_components] + 1e-4)
    found = load_pca(path)(frames.astype(np.float32))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)
    with h5py.File(path) as file:
        assert file.attrs["num_frames"] == len(frames)
        share = values[:num_components].sum() / values.sum()
        assert file.attrs["explained"] == pytest.approx(share)


PACKED = {
    "bytes": (np.uint8, {}),
    "floats": (np.float32, {"float_frames": True}),
    "range": (
        np.uint8,
        {"quantisation_min": -3.0, "quantisation_max": 5.0},
    ),
}


@pytest.mark.parametrize("case", PACKED)
def test_the_pca_of_records_is_that_of_their_numbers(tmp_path, case):
    kind, options = PACKED[case]
    videos = draw_videos(kind)
    settings = PackSettings(num_shards=3, **options)
    packed = write_records(videos, tmp_path / "data", settings)
    schema = schema_of_feature(packed.schema, "rgb")
    files = find_files(f"{tmp_path}/data/train-*")
    fitted, count = fit_pca(
        read_record_frames(schema, files), PcaSettings(4), tmp_path / "pca.h5"
    )
    frames = frames_of(videos, "rgb")
    if kind == np.uint8:
        frames = dequantised(frames, *schema.quantisation_range)
    assert count == len(frames)
    assert_file_is_pca_of(tmp_path / "pca.h5", frames, 4)
    assert describe_fit(fitted, count)[0] == (
        f"{count} frames of 6 numbers: 4 components explain "
        f"{fitted.explained:.2%} of their variance"
    )


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_the_pca_of_arrays_is_that_of_their_numbers(tmp_path, kind):
    videos = draw_videos(kind)
    for name, features, _ in videos:
        np.savez(tmp_path / f"{name}.npz", labels="cat", **features)
    frames = read_array_frames(tmp_path, "audio", (-2.0, 2.0))
    fit_pca(frames, PcaSettings(2), tmp_path / "pca.h5")
    expected = frames_of(videos, "audio")
    if kind == np.uint8:
        expected = dequantised(expected)
    assert_file_is_pca_of(tmp_path / "pca.h5", expected, 2)


def test_no_more_frames_than_wanted_are_read(tmp_path):
    random = np.random.default_rng(0)
    batches, read = [random.normal(size=(7, 3)) for _ in range(9)], []

    def frames():
        for batch in batches:
            read.append(batch)
            yield batch

    seen = []
    settings = PcaSettings(2, max_frames_read=17)
    fit_pca(frames(), settings, tmp_path / "pca.h5", seen.append)
    assert seen == [7, 14, 17]
    assert len(read) == 3
    first = np.concatenate(batches)[:17]
    assert_file_is_pca_of(tmp_path / "pca.h5", first, 2)


@pytest.mark.skipif(not AUDIOSET.exists(), reason=f"{AUDIOSET} is missing")
def test_the_pca_of_real_frames_is_numpy_s(tmp_path):
    path = AUDIOSET / "train-00000-of-00006.tfrecord"
    schema = schema_of_feature(make_schema("audioset"), None)
    videos = [decode_video(r, schema) for r in records_of(path)[:800]]
    frames = dequantised(
        np.concatenate([v.features["audio_embedding"] for v in videos])
    )
    settings = PcaSettings(32, max_frames_read=len(frames))
    read = read_record_frames(schema, [str(path)])
    fitted, count = fit_pca(read, settings, tmp_path / "pca.h5")
    assert count == len(frames) > 7_000
    assert_file_is_pca_of(tmp_path / "pca.h5", frames, 32)
    assert 0.3 < fitted.explained < 1


def test_a_failed_fit_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "pca.h5"
    path.write_text("earlier")
    with pytest.raises(ValueError, match="2 components need more than 2"):
        fit_pca(iter([np.eye(2)]), PcaSettings(2), path)
    with pytest.raises(ValueError, match="There is no frame to fit a PCA to"):
        fit_pca(iter([]), PcaSettings(2), path)
    several = iter([np.eye(3), pytest.fail])
    with pytest.raises(ValueError, match="num_components must be from 1 to 3"):
        fit_pca(several, PcaSettings(4), path)
    assert next(several) is pytest.fail  # nothing more was read
    assert [p.name for p in tmp_path.iterdir()] == ["pca.h5"]
    assert path.read_text() == "earlier"


def test_a_file_that_cannot_be_written_fails_before_reading(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"pca\.h5 cannot be written"):
        fit_pca(iter([1]), PcaSettings(2), tmp_path / "file" / "pca.h5")
    with pytest.raises(ValueError, match=r"must end in \.h5, got pca\.npz"):
        fit_pca(iter([1]), PcaSettings(2), "pca.npz")


def test_the_feature_must_be_one_that_records_hold():
    schema = make_schema("yt8m_2018")
    for name, got in ((None, "none given"), ("mean_rgb", "got 'mean_rgb'")):
        with pytest.raises(ValueError, match=f"one of rgb, audio; {got}"):
            schema_of_feature(schema, name)
    chosen = schema_of_feature(schema, "audio")
    assert (chosen.feature_names, chosen.feature_sizes) == (("audio",), (128,))
    video_level = make_schema("yt8m_2018", frame_features=False)
    with pytest.raises(ValueError, match="frame_features must be true"):
        schema_of_feature(video_level, "mean_rgb")


def test_the_feature_of_arrays_must_be_named_where_there_are_several(tmp_path):
    np.savez(tmp_path / "a.npz", labels="cat", **draw_videos()[0][1])
    with pytest.raises(ValueError, match="one of audio, rgb; none given"):
        list(read_array_frames(tmp_path, None, (-2.0, 2.0)))
    with pytest.raises(ValueError, match="no feature 'x'"):
        list(read_array_frames(tmp_path, "x", (-2.0, 2.0)))


def test_a_bad_record_is_named(tmp_path):
    videos = draw_videos(np.uint8)
    packed = write_records(videos, tmp_path / "d", PackSettings(num_shards=1))
    schema = schema_of_feature(packed.schema, "rgb")
    wrong = dataclasses.replace(schema, feature_sizes=(5,))
    files = find_files(f"{tmp_path}/d/train-*")
    with pytest.raises(BadRecordError, match="record 0: frame 0 of feature"):
        list(read_record_frames(wrong, files))
