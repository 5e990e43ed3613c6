"""The predictor says what the checkpoint says, to any caller."""

import dataclasses
import threading

import numpy as np
import pytest
import stage_runs

import distill
from distill.deployment.interface import VideoInterface
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network

ARTIFACTS = ("saved_model", "model.keras", "model.onnx", "model.tflite")


@pytest.fixture(scope="module")
def exported(reader, logistic_checkpoint, tmp_path_factory):
    """Returns a directory of artifacts."""
    directory = tmp_path_factory.mktemp("exports") / "student"
    network = load_network(logistic_checkpoint, "student")
    formats = ["saved_model", "keras", "onnx", "litert"]
    return stage_runs.write_export(
        logistic_checkpoint, network, reader, directory, formats
    )


@pytest.fixture(scope="module")
def truth(videos, logistic_checkpoint):
    """Returns the videos, each of its own length, and their predictions."""
    reader = stage_runs.validation_reader(videos, batch_size=100)
    network = load_network(logistic_checkpoint, "student")
    _, predictions = stage_runs.predict_all(network, reader)
    (batch,) = reader.read_once()
    pairs = zip(batch["frames"].numpy(), batch["num_frames"], strict=True)
    return [video[:length] for video, length in pairs], predictions


@pytest.fixture(scope="module", params=[*ARTIFACTS, "checkpoint"])
def predictor(request, exported, logistic_checkpoint):
    """Returns a predictor of each artifact and of the checkpoint."""
    if request.param == "checkpoint":
        return distill.Predictor.load(
            logistic_checkpoint,
            class_names_file=exported / "class_names.csv",
        )
    return distill.Predictor.load(exported / request.param)


def test_a_list_of_videos_is_predicted_as_by_evaluation(predictor, truth):
    videos, expected = truth
    results = predictor.predict(videos, top_k=4)
    assert len(results) == len(videos)
    for result, row in zip(results, expected, strict=True):
        best = np.argsort(-row, kind="stable")[:4]
        np.testing.assert_array_equal(result.class_indexes, best)
        np.testing.assert_allclose(result.probabilities, row[best], 1e-5)
        assert result.class_names == list(map(str, best))


def test_one_video_of_bytes_or_floats_is_predicted_alone(predictor, truth):
    videos, expected = truth
    result = predictor.predict(videos[3])
    assert result.class_indexes[0] == np.argmax(expected[3])
    assert len(result.probabilities) == stage_runs.NUM_CLASSES
    floats = videos[3].astype(np.float32) * (4 / 255) + (4 / 512 - 2)
    found = predictor.predict(floats).probabilities
    np.testing.assert_array_equal(found, result.probabilities)
    assert predictor.feature_sizes == stage_runs.FEATURE_SIZES
    assert predictor.num_features == sum(stage_runs.FEATURE_SIZES)


def test_longer_videos_are_cut_as_by_the_reader(predictor, truth):
    videos, _ = truth
    index = max(range(len(videos)), key=lambda each: len(videos[each]))
    most = stage_runs.MAX_FRAMES
    missing = most - len(videos[index])
    longest = np.pad(videos[index], ((0, missing), (0, 0)), mode="edge")
    longer = np.concatenate([longest, 255 - longest])
    assert predictor.max_frames == most
    np.testing.assert_array_equal(predictor.check(longer), longest)
    found, wanted = predictor.predict([longer, longest])
    np.testing.assert_allclose(
        found.probabilities, wanted.probabilities, rtol=1e-5
    )


def test_single_values_outside_the_range_are_clipped(exported):
    predictor = distill.Predictor.load(exported / "model.onnx")
    video = np.zeros((3, 16))
    video[1, 4], video[2, 5] = -7.5, 9.0
    stored = predictor.check(video)
    assert (stored[1, 4], stored[2, 5]) == (0, 255)
    others = np.delete(stored.ravel(), [16 + 4, 32 + 5])
    assert set(others) == {127}  # read as -0.00005; 128 as 0.0156


def test_a_segment_must_be_whole():
    schema = dataclasses.replace(
        stage_runs.frame_schema(), max_frames=5, segment_labels=True
    )
    names = tuple(map(str, range(stage_runs.NUM_CLASSES)))
    interface = VideoInterface(schema, FrameBudget(), names)
    assert len(interface.as_stored(np.zeros((5, 16), np.uint8))) == 5
    with pytest.raises(ValueError, match="at most 5 frames, got 6"):
        interface.as_stored(np.zeros((6, 16), np.uint8))


def test_threads_get_what_each_asked_for(predictor, truth):
    videos, expected = truth
    problems = []

    def ask(first):
        for step in range(12):
            index = (first + 3 * step) % len(videos)
            checked = [predictor.check(videos[index])]
            found = predictor.probabilities(checked)[0]
            if not np.allclose(found, expected[index], atol=1e-5):
                problems.append(index)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


BAD_VIDEOS = [
    (np.zeros((3, 15), np.uint8), r"\[frames, 16\], got the"),
    (np.zeros(16, np.uint8), r"got the shape \[16\]"),
    (np.zeros((0, 16), np.uint8), "1 frame or more, got 0"),
    (np.full((3, 16), np.nan), "NaN or infinite"),
    (np.full((3, 16), np.inf), "NaN or infinite"),
    (np.full((3, 16), 256), "Bytes must be from 0 to 255"),
    (np.full((3, 16), -1), "Bytes must be from 0 to 255"),
    (np.full((3, 16), 2.5), "must be from -2.0 to 2.01"),
    (np.full((3, 16), "a"), "must be real numbers"),
    ([[1, 2], [3]], "Video 0: .*shape"),
]


def test_bad_videos_are_refused(exported):
    predictor = distill.Predictor.load(exported / "model.onnx")
    for video, message in BAD_VIDEOS:
        with pytest.raises(ValueError, match=message):
            predictor.predict(video)
    good, bad = np.zeros((3, 16), np.uint8), np.zeros((3, 4), np.uint8)
    with pytest.raises(ValueError, match="Video 1: A video must be"):
        predictor.predict([good, bad])
    with pytest.raises(ValueError, match="There is no video in the list"):
        predictor.predict([])
    with pytest.raises(ValueError, match="top_k must be 1 or more, got 0"):
        predictor.predict(good, top_k=0)


def test_onnx_and_litert_need_no_tensorflow(exported):
    code = (
        "import sys, numpy as np, distill\n"
        "predictor = distill.Predictor.load(sys.argv[1])\n"
        "print(predictor.predict(np.zeros((3, 16), np.uint8)).class_names[0])\n"
        "assert 'tensorflow' not in sys.modules, 'tensorflow'\n"
        "assert 'keras' not in sys.modules, 'keras'\n"
    )
    for name in ("model.onnx", "model.tflite"):
        said = stage_runs.run_python(code, exported / name)
        assert said.strip().isdigit()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"no model", "cannot be loaded"),
        ("model.tflite", b"no model", "cannot be loaded"),
        ("model.keras", b"no model", "cannot be loaded"),
        ("model.pt", b"", "is not an export artifact"),
        ("model.h5", b"", "is no checkpoint"),
        ("model.json", b"{}", "is not an ensemble"),
        ("absent.onnx", None, "There is no artifact"),
    ],
)
def test_what_is_no_artifact_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        distill.Predictor.load(tmp_path / name)


def test_an_artifact_takes_no_budget(exported):
    one = distill.FrameBudget.of(num_frames=1)
    with pytest.raises(
        ValueError, match=r"budget=uniform_k=1: .*model\.onnx is"
    ):
        distill.Predictor.load(exported / "model.onnx", budget=one)


def test_an_artifact_without_its_card_is_refused(exported, tmp_path):
    model = tmp_path / "model.onnx"
    model.write_bytes((exported / "model.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"There is no .*card\.json: an arti"):
        distill.Predictor.load(model)
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is not an export.s card"):
        distill.Predictor.load(model)


def test_every_class_needs_a_name():
    with pytest.raises(ValueError, match="1 class names for 10 classes"):
        VideoInterface(stage_runs.frame_schema(), FrameBudget(), ("a",))
