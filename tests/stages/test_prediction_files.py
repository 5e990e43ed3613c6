"""Prediction and label files: read, averaged, scored and converted."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from stage_runs import (
    DATA_FLAGS,
    NO_TENSORFLOW,
    NUM_CLASSES,
    error_line,
    run_script,
    to_flags,
)
from stored_files import true_labels

from distill.evaluation.evaluate import (
    Prediction,
    evaluate_network,
    predict_videos,
)
from distill.evaluation.inference import write_labels, write_predictions
from distill.evaluation.prediction_files.combining import (
    Combination,
    combine_predictions,
)
from distill.evaluation.prediction_files.conversion import convert_predictions
from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    match_files,
    read_labels,
    read_predictions,
)
from distill.evaluation.prediction_files.scores import (
    missing_note,
    score_predictions,
)
from distill.metrics.accumulator import VideoMetrics
from distill.networks.loading import load_network
from tests import plain_metrics

METRICS = ("gap", "hit_at_one", "perr", "mean_average_precision_at_k")


def write(path, *lines, header=PREDICTION_HEADER):
    path.write_text("".join(f"{line}\n" for line in (header, *lines)))
    return path


def average_predictions(files, weights, output, top_k=20):
    return combine_predictions(
        files, Combination("mean", weights), output, top_k
    )


def write_truth(path, labels):
    """Writes labels by id as a label CSV, by hand."""
    lines = (f"{i},{' '.join(map(str, c))}" for i, c in labels.items())
    return write(path, *lines, header="VideoId,Labels")


@pytest.fixture(scope="module")
def labels_file(reader, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    assert list(write_labels(path, reader)) == [16, 32, 40]
    return path


@pytest.fixture(scope="module", params=["teacher", "student"])
def network(request, joint_checkpoint):
    return load_network(joint_checkpoint, request.param)


@pytest.fixture(scope="module")
def predictions(network, reader):
    return list(predict_videos(network, reader))


def test_label_file_holds_every_video_s_labels(videos, labels_file):
    header, *lines = labels_file.read_text().splitlines()
    assert header == "VideoId,Labels"
    found = {}
    for line in lines:
        video_id, classes = line.split(",")
        found[video_id] = list(map(int, classes.split()))
        assert found[video_id] == sorted(found[video_id])
    expected = true_labels(videos)
    assert {name: set(held) for name, held in found.items()} == expected
    assert len(lines) == len(expected) == 40
    assert read_labels([labels_file]) == found


@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_scores_of_the_files_equal_the_evaluation(
    network, predictions, videos, reader, labels_file, tmp_path, top_k
):
    """All metrics of lines of all classes; but for exact mAP of fewer."""
    expected = evaluate_network(network, reader, top_k=top_k)
    most_labels = max(map(len, true_labels(videos).values()))
    assert most_labels < NUM_CLASSES
    for listed in {NUM_CLASSES, max(top_k, most_labels)}:
        path = tmp_path / "predictions.csv"
        list(write_predictions(path, predictions, listed))
        found = score_predictions([path], [labels_file], top_k=top_k)
        names = [*METRICS, "num_videos", "top_k"]
        if listed == NUM_CLASSES:
            names.append("mean_average_precision")
            assert missing_note(found) == ""
        else:
            assert "mean_average_precision" not in found
            assert "exact mAP needs lines of all" in missing_note(found)
        for name in names:
            assert found[name] == pytest.approx(expected[name], abs=1e-5), name
    assert found["num_missing"] == 0


def draw_videos(number, num_classes, path):
    """Returns ids, scores and labels, written to a file by hand."""
    rng = np.random.default_rng(0)
    labels = rng.random((number, num_classes)) < 0.2
    labels[np.arange(number), rng.integers(0, num_classes, number)] = True
    scores = rng.permutation(number * num_classes).reshape(labels.shape)
    ids = [f"v{i}" for i in range(number)]
    truth = {
        i: list(np.flatnonzero(row)) for i, row in zip(ids, labels, strict=True)
    }
    write_truth(path, truth)
    scores = (scores / labels.size).astype(np.float32)
    return Prediction(ids, scores, labels), truth


def test_metrics_of_listed_classes_are_those_of_plain_python(tmp_path):
    """With videos of more labels than classes are listed."""
    path, truth_file = tmp_path / "p.csv", tmp_path / "l.csv"
    videos, truth = draw_videos(50, 12, truth_file)
    list(write_predictions(path, [videos], 4))
    found = score_predictions([path], [truth_file], top_k=3)
    assert videos.labels.sum(axis=1).max() > 4
    rankings = {
        i: plain_metrics.rank(row)[:4]
        for i, row in zip(videos.ids, videos.predictions, strict=True)
    }
    expected = plain_metrics.score_videos(rankings, truth, 3)
    for name in METRICS:
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name


def test_a_video_without_prediction_is_an_error_or_counts_as_nothing(tmp_path):
    path, truth_file = tmp_path / "p.csv", tmp_path / "l.csv"
    videos, _ = draw_videos(20, 5, truth_file)
    scores, labels = videos.predictions, videos.labels
    some = Prediction(videos.ids[:15], scores[:15], labels[:15])
    list(write_predictions(path, [some], 5))
    message = "5 labelled videos have no prediction, such as 'v15'"
    with pytest.raises(ValueError, match=message):
        score_predictions([path], [truth_file])
    found = score_predictions([path], [truth_file], missing="zero")
    assert (found["num_videos"], found["num_missing"]) == (20, 5)
    assert "5 videos without a prediction" in missing_note(found)
    metrics = VideoMetrics(20)
    metrics.update(scores[:15], labels[:15])
    share = labels[:15].sum() / labels.sum()
    expected = metrics.result()
    assert found["gap"] == pytest.approx(expected["gap"] * share)
    for name in ("hit_at_one", "perr"):
        assert found[name] == pytest.approx(expected[name] * 15 / 20)
    with pytest.raises(ValueError, match="Choices: error, zero"):
        score_predictions([path], [truth_file], missing="drop")


@pytest.mark.parametrize("missing", ["error", "zero"])
def test_a_predicted_video_without_labels_is_an_error(tmp_path, missing):
    path = write(tmp_path / "p.csv", "a,0 0.5", "b,0 0.5")
    truth = write_truth(tmp_path / "l.csv", {"a": [0]})
    with pytest.raises(ValueError, match="'b' is predicted, but no label file"):
        score_predictions([path], [truth], missing=missing)


def test_files_of_several_shards_are_scored_together(tmp_path):
    parts = [
        write(tmp_path / "p0.csv", "a,0 0.9 1 0.1"),
        write(tmp_path / "p1.csv", "b,1 0.8 0 0.7"),
    ]
    truth = [
        write_truth(tmp_path / "l1.csv", {"b": [0]}),
        write_truth(tmp_path / "l0.csv", {"a": [0]}),
    ]
    found = score_predictions(parts, truth)
    # Pooled: 0.9 hit, 0.8 no, 0.7 hit, 0.1 no.
    assert found["gap"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found["hit_at_one"] == found["perr"] == 0.5
    assert found["mean_average_precision"] == pytest.approx(1.0)


PREDICTION_ERRORS = [
    ("a,0 0.5 1", "line 2: a class and its score must come in pairs, got 3"),
    ("a 0 0.5", "line 2: an id and a comma must come first, got 'a 0 0.5'."),
    (",0 0.5", "line 2: an id and a comma must come first"),
    ("a,0.5 0.5", "line 2: a class must be a whole number, 0 or more, got '0."),
    ("a,-1 0.5", "line 2: a class must be a whole number, 0 or more, got '-1'"),
    ("a,5 0.5", "line 2: a class must be from 0 to 4 (--num_classes), got 5."),
    ("a,1 nan", "line 2: a score must be a number from 0 to 1, got 'nan'."),
    ("a,1 1.5", "line 2: a score must be a number from 0 to 1, got '1.5'."),
    ("a,1 x", "line 2: a score must be a number from 0 to 1, got 'x'."),
    ("a,1 0.5 1 0.4", "line 2: the class 1 occurs a second time."),
    ("a,1 0.5\na,2 0.5", "line 3: the video 'a' occurs a second time."),
]


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize(("lines", "message"), PREDICTION_ERRORS)
def test_a_wrong_prediction_is_an_error_of_file_and_line(
    tmp_path, lines, message, average
):
    path = write(tmp_path / "p.csv", lines)
    expected = f"^{re.escape(f'{path}, {message}')}"
    if average and "--num_classes" not in message:
        with pytest.raises(ValueError, match=expected):
            average_predictions([path, path], [0.5, 0.5], tmp_path / "mean.csv")
        assert [p.name for p in tmp_path.iterdir()] == ["p.csv"]
    with pytest.raises(ValueError, match=expected):
        list(read_predictions([path], num_classes=5))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a,0 x", "line 2: a class must be a whole number, 0 or more, got 'x'"),
        ("a,7", "line 2: a class must be from 0 to 4 (--num_classes), got 7."),
        ("a,1\nb,2\na,3", "line 4: the video 'a' occurs a second time."),
    ],
)
def test_a_wrong_label_is_an_error_of_file_and_line(tmp_path, lines, message):
    path = write(tmp_path / "l.csv", lines, header="VideoId,Labels")
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        read_labels([path], num_classes=5)


@pytest.mark.parametrize(
    "header", [[], ["VideoId,Labels"], ["VideoID,Labels"], ["VideoID,anything"]]
)
def test_labels_are_read_with_and_without_a_header(header, tmp_path):
    path = tmp_path / "l.csv"
    lines = [*header, "v,3 1", "w,2"]
    path.write_text("".join(f"{line}\n" for line in lines))
    if header == ["VideoID,anything"]:
        with pytest.raises(ValueError, match="line 1: the header must be 'Vid"):
            read_labels([path])
    else:
        assert read_labels([path]) == {"v": [3, 1], "w": [2]}


def test_labels_without_a_header_name_the_first_wrong_line(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("v,a\nw,2\n")
    with pytest.raises(
        ValueError, match=r"l\.csv, line 1: a class must be a who"
    ):
        read_labels([path])


def test_predictions_with_the_header_of_willow_are_read(tmp_path):
    header = "VideoID,LabelConfidencePairs"
    path = write(tmp_path / "p.csv", "v,1 0.5", header=header)
    (video,) = read_predictions([path])
    assert video == VideoScores("v", [1], [0.5])


def test_a_wrong_header_is_an_error(tmp_path):
    path = write(tmp_path / "p.csv", "a,1 0.5", header="VideoId,Labels")
    message = "line 1: the header must be 'VideoId,LabelConfidencePairs'"
    with pytest.raises(ValueError, match=message):
        list(read_predictions([path]))
    with pytest.raises(ValueError, match=message):
        average_predictions([path], [1.0], tmp_path / "out.csv")


def test_wrong_numbers_of_classes_and_videos_of_two_files_are_errors(tmp_path):
    path = write(tmp_path / "p.csv", "a,1000000 0.5")
    with pytest.raises(ValueError, match="from 0 to 999999, got 1000000"):
        list(read_predictions([path]))
    with pytest.raises(ValueError, match="num_classes must be 1 or more"):
        score_predictions([path], [path], num_classes=0)
    paths = [write(tmp_path / f"{i}.csv", "a,1 0.5") for i in range(2)]
    with pytest.raises(ValueError, match=r"1\.csv, line 2: the video 'a' occ"):
        list(read_predictions(paths))


def test_ids_may_hold_commas_and_lines_no_class(tmp_path):
    path = write(tmp_path / "p.csv", "a,b,1 0.5", "c,")
    assert list(read_predictions([path])) == [
        VideoScores("a,b", [1], [0.5]),
        VideoScores("c", [], []),
    ]


def test_globs_name_files_or_are_errors(tmp_path):
    for name in ("b.csv", "a.csv"):
        write(tmp_path / name)
    found = match_files(f"{tmp_path}/b*, {tmp_path}/*.csv", "labels")
    assert [Path(name).name for name in found] == ["a.csv", "b.csv"]
    with pytest.raises(ValueError, match="--labels: No file matches"):
        match_files(f"{tmp_path}/*.txt", "labels")


def test_mean_is_weighted_over_files_of_any_order(tmp_path):
    """A class that a file does not list counts 0 there."""
    first = write(tmp_path / "a.csv", "v,0 1.000000 1 0.500000", "w,3 0.2")
    second = write(tmp_path / "b.csv", "w,3 0.4 2 0.3", "v,2 0.8 1 0.5")
    output = tmp_path / "mean.csv"
    assert average_predictions([first, second], [0.75, 0.25], output, 3) == 2
    assert output.read_text().splitlines() == [
        PREDICTION_HEADER,
        "v,0 0.750000 1 0.500000 2 0.200000",
        "w,3 0.250000 2 0.075000",
    ]
    average_predictions([first, second], [0.5, 0.5], output, 1)
    assert output.read_text().splitlines()[1:] == [
        "v,0 0.500000",
        "w,3 0.300000",
    ]


def test_files_of_other_videos_have_no_mean(tmp_path):
    first = write(tmp_path / "a.csv", "v,0 1", "w,3 0.2")
    second = write(tmp_path / "b.csv", "v,0 1")
    for files in ([first, second], [second, first]):
        message = f"^{second} has no video 'w', which {first} has in line 3"
        with pytest.raises(ValueError, match=message):
            average_predictions(files, [0.5, 0.5], tmp_path / "mean.csv")
    assert not (tmp_path / "mean.csv").exists()


def write_json(path, *rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "\n")
    return path


def test_json_lines_of_both_forms_are_converted(tmp_path):
    row = {"class_indexes": [4, 0, 2], "predictions": [0.5, 0.25, 1]}
    other = {"class_names": ["dog", "cat"], "class_indexes": [1, 0]}
    other |= {"probabilities": [0.75, 0.125], "predictions": [0.125, 0.75, 0.0]}
    first = write_json(tmp_path / "a.json", {"video_id": "v"} | row)
    second = write_json(tmp_path / "b.json", {"video_id": "w"} | other)
    output = tmp_path / "p.csv"
    assert convert_predictions([first, second], output, top_k=2) == 2
    assert output.read_text().splitlines() == [
        PREDICTION_HEADER,
        "v,2 1.000000 4 0.500000",
        "w,1 0.750000 0 0.125000",
    ]


def test_json_batches_are_converted_video_by_video(tmp_path):
    """The starter code's batch prediction may nest every value as a batch."""
    one = {"video_id": ["v"], "class_indexes": [[4, 0]]}
    one |= {"predictions": [[0.5, 0.25]]}
    two = {"video_id": ["w", "x"], "class_indexes": [[1], [0, 3]]}
    two |= {"predictions": [[1.0], [0.125, 0.75]]}
    source = write_json(tmp_path / "a.json", one, ROW | {"video_id": "u"}, two)
    output = tmp_path / "p.csv"
    assert convert_predictions([source], output) == 4
    assert output.read_text().splitlines() == [
        PREDICTION_HEADER,
        "v,4 0.500000 0 0.250000",
        "u,1 0.500000 2 0.250000",
        "w,1 1.000000",
        "x,3 0.750000 0 0.125000",
    ]


ROW = {"video_id": "v", "class_indexes": [1, 2], "predictions": [0.5, 0.25]}
NESTED = {"video_id": ["v"], "class_indexes": [[1]], "predictions": [[0.5]]}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "the line is not JSON: Expecting property name"),
        ([1], "the line must be an object, got a list."),
        (ROW | {"video_id": 3}, '"video_id" must be a text of one line, got 3'),
        (ROW | {"video_id": "a\nb"}, '"video_id" must be a text of one line'),
        ({"video_id": "v"}, '"class_indexes" must be a list.'),
        (ROW | {"predictions": 1}, '"predictions" must be a list.'),
        (
            ROW | {"probabilities": [0.5]},
            '"class_indexes" and "probabilities" must have the same length',
        ),
        (ROW | {"class_indexes": [1, 1.5]}, "a class must be a whole number"),
        (ROW | {"class_indexes": [1, True]}, "a class must be a whole number"),
        (ROW | {"class_indexes": [1, 9]}, "a class must be from 0 to 4"),
        (ROW | {"predictions": [1, None]}, "a score must be a number from 0"),
        (ROW | {"video_id": "first"}, "the video 'first' occurs a second time"),
        (NESTED | {"predictions": 1}, '"predictions" must be a list, as "vid'),
        (NESTED | {"video_id": ["a", "b"]}, "the lists differ in their number"),
        (NESTED | {"class_indexes": [1]}, '"class_indexes" must be a list.'),
        (NESTED | {"video_id": [["v"]]}, '"video_id" must be a text of one li'),
        (NESTED | {"predictions": [[2]]}, "a score must be a number from 0"),
    ],
)
def test_a_wrong_json_line_is_an_error_of_file_and_line(tmp_path, row, message):
    path = tmp_path / "a.json"
    text = row if isinstance(row, str) else json.dumps(row)
    path.write_text(f"{json.dumps(ROW | {'video_id': 'first'})}\n{text}\n")
    with pytest.raises(ValueError, match=f"^{path}, line 2: {message}"):
        convert_predictions([path], tmp_path / "p.csv", num_classes=5)
    assert not (tmp_path / "p.csv").exists()


def test_scripts_that_read_csv_files_need_no_tensorflow(tmp_path):
    """Converted, averaged and scored as a user does it."""
    source = write_json(tmp_path / "a.json", ROW, ROW | {"video_id": "w"})
    first, mean = tmp_path / "a.csv", tmp_path / "mean.csv"
    scores = tmp_path / "scores.json"
    truth = write_truth(tmp_path / "l.csv", {"v": [1], "w": [2]})

    def run(name, *flags, status=0):
        return run_script(name, *flags, driver=NO_TENSORFLOW, status=status)

    files = [f"--predictions={source}", f"--output_file={first}"]
    run("convert_predictions", *files)
    other = write(tmp_path / "b.csv", "w,2 1.0", "v,1 1.0")
    done = run(
        "average_predictions",
        f"--predictions={first},{other}",
        "--weights=1,3",
        f"--output_file={mean}",
    )
    assert done.stdout == f"wrote the mean of 2 videos to {mean}\n"
    assert mean.read_text().splitlines()[1:] == [
        "v,1 0.875000 2 0.062500",
        "w,2 0.812500 1 0.125000",
    ]
    flags = [f"--predictions={mean}", f"--labels={truth}"]
    done = run("score_predictions", *flags, f"--metrics_file={scores}")
    found = json.loads(scores.read_text())
    assert (found["gap"], found["hit_at_one"]) == (1.0, 1.0)
    assert "exact mAP needs lines of all classes" in done.stdout
    write_truth(truth, {"v": [1], "w": [2], "x": [0]})
    refused = run("score_predictions", *flags, status=1)
    assert "1 labelled videos have no prediction" in error_line(refused)
    flags = [f"--predictions={first}", "--weights=1,2", f"--output_file={mean}"]
    refused = run("average_predictions", *flags, status=1)
    message = "for each of the 1 files of --predictions, got 2"
    assert message in error_line(refused)


def test_scripts_fit_weights_and_combine_other_videos(tmp_path):
    """The second file says the contrary of the labels."""
    files = []
    for name in ("fit", "new"):
        good = [f"{name}{i},0 0.{8 - i % 3} 1 0.{1 + i % 3}" for i in range(9)]
        bad = [f"{name}{i},1 0.9 0 0.2" for i in range(9)]
        files += [
            write(tmp_path / f"{name}_{kind}.csv", *lines)
            for kind, lines in (("good", good), ("bad", bad))
        ]
    truth = write_truth(tmp_path / "l.csv", {f"fit{i}": [0] for i in range(9)})
    fit, output = tmp_path / "fit.json", tmp_path / "out.csv"

    def run(name, *flags, status=0):
        return run_script(name, *flags, driver=NO_TENSORFLOW, status=status)

    done = run(
        "fit_weights",
        f"--predictions={files[0]},{files[1]}",
        f"--labels={truth}",
        f"--output_file={fit}",
    )
    assert "WARNING: scores of the 9 videos that were fitted" in done.stdout
    assert f"  1.0000 {files[0]}\n  0.0000 {files[1]}\n" in done.stdout
    flags = [f"--fitted={fit}", f"--output_file={output}"]
    own = f"--predictions={files[0]},{files[1]}"
    refused = run("average_predictions", own, *flags, status=1)
    assert "fitted to at least 9 of the 9 videos" in error_line(refused)
    new = f"--predictions={files[2]},{files[3]}"
    refused = run("average_predictions", new, *flags, "--weights=1,2", status=1)
    assert "--fitted decides how files are combined" in error_line(refused)
    done = run("average_predictions", new, *flags)
    assert "wrote the fitted combination of 9 videos" in done.stdout
    assert read_scores(output) == read_scores(files[2])
    flags = [new, "--combine=max", f"--output_file={output}"]
    done = run("average_predictions", *flags)
    assert f"wrote the max of 9 videos to {output}" in done.stdout
    assert read_scores(output)["new0"] == {0: 0.8, 1: 0.9}
    refused = run("average_predictions", *flags, "--weights=std", status=1)
    assert "weights are not for the combination max" in error_line(refused)


def read_scores(path):
    return {
        video.video_id: dict(zip(video.classes, video.scores, strict=True))
        for video in read_predictions([path])
    }


@pytest.mark.slow
def test_script_writes_the_labels_of_records(videos, labels_file, tmp_path):
    path = tmp_path / "labels.csv"
    done = run_script(
        "write_labels",
        f"--input_data_pattern={videos}/validate-*.tfrecord",
        f"--output_file={path}",
        *to_flags(DATA_FLAGS),
        "--every_n=4",
        "--batch_size=16",
    )
    assert done.stdout == f"wrote the labels of 40 videos to {path}\n"
    assert path.read_bytes() == labels_file.read_bytes()
