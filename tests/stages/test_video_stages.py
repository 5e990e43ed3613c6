"""Video files, from the command to a prediction, by every way."""

import contextlib
import csv
import dataclasses
import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import stage_runs

import distill
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from distill.settings.extraction import ExtractSettings
from distill.settings.video import VideoSettings
from distill.video.decoding_process import DecodingProcess
from tests.extraction.small_networks import MACS, write_keras
from tests.hang_guard import HANG_SECONDS, wait_until
from tests.video.drawn_videos import draw_video

# Keras saves models by NumPy's older interface.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
# A video of a class shows the first or the second half of the numbers.
STARTS = {"low": 0, "high": 2**15 - 1}
NUM_VIDEOS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a folder with videos in a folder for each class."""
    folder = tmp_path_factory.mktemp("stages")
    for name, start in STARTS.items():
        (folder / "videos" / name).mkdir(parents=True)
        for number in range(NUM_VIDEOS):
            draw_video(
                folder / "videos" / name / f"{number}.mp4",
                range(0, 1000 * (4 + number % 5), 100),
                options={"g": "10", "bf": "2"}.items(),
                numbers=range(start, start + 200),
                sound=np.sin(np.arange(16_000 * 4) * (0.1 + number / 50)),
            )
    write_keras(folder / "network.keras")
    return folder


def extraction_flags(folder, output="data"):
    return [
        f"--videos={folder / 'videos'}",
        f"--output_dir={folder / output}",
        f"--image_network=keras:{folder / 'network.keras'}",
        "--image_scale=symmetric",
        "--audio_network=log_mel",
        *("--quantisation_min=-8", "--quantisation_max=8"),
        *("--num_shards=3", "--validate_fraction=0.3", "--gpu=-1"),
    ]


@pytest.fixture(scope="module")
def data(folder):
    """Returns the directory of the extracted data set."""
    done = stage_runs.run_script("extract", *extraction_flags(folder))
    assert "16 videos (" in done.stdout
    assert "of rgb 5, audio 128, 2 classes" in done.stdout
    # The statistics of the sound multiply nothing that counts.
    assert f"\nextraction: {MACS:,} MACs a frame\n" in done.stdout
    return folder / "data"


@pytest.fixture(scope="module")
def checkpoint(folder, data):
    """Returns the checkpoint of a student on four of the frames."""
    flags = (data / "dataset.cfg").read_text()
    names = {"feature_names=rgb,audio", "feature_sizes=5,128"}
    assert all(name in flags for name in names)
    done = stage_runs.run_script(
        "train",
        f"--flagfile={data / 'dataset.cfg'}",
        f"--train_dir={folder / 'run'}",
        *("--regime=labels", "--model=PooledNetworkModel", "--hidden_sizes=8"),
        *("--frame_selection=uniform_k", "--frame_budget=3"),
        *("--batch_size=4", "--num_epochs=2", "--gpu=-1"),
    )
    assert "result: " in done.stdout
    return max((folder / "run").glob("checkpoint-*.h5"))


def read_predictions(path):
    """Returns the probability of class 0 of each video."""
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    pairs = {name: text.split() for name, text in rows}
    return {
        name: float(words[words.index("0") + 1])
        for name, words in pairs.items()
    }


def test_a_file_is_predicted_as_its_record(folder, data, checkpoint):
    shared = [f"--checkpoint={checkpoint}", "--gpu=-1"]
    stage_runs.run_script(
        "infer",
        *shared,
        f"--flagfile={data / 'dataset.cfg'}",
        f"--input_data_pattern={data}/*.tfrecord",
        f"--output_file={folder / 'records.csv'}",
    )
    stage_runs.run_script(
        "infer",
        *shared,
        f"--videos={folder / 'videos'}",
        f"--extractor_file={data / 'extractor.json'}",
        f"--output_file={folder / 'files.csv'}",
    )
    records, files = (
        read_predictions(folder / name) for name in ("records.csv", "files.csv")
    )
    assert len(records) == len(files) == 2 * NUM_VIDEOS
    assert len(set(records.values())) > NUM_VIDEOS
    for name, probability in records.items():
        assert files[name] == pytest.approx(probability, abs=2e-6)
    predictor = distill.Predictor.load(checkpoint)
    extractor = distill.read_extractor(data / "extractor.json")
    name = "high/3.mp4"
    found = predictor.predict_video(folder / "videos" / name, extractor)
    place = found.class_indexes.tolist().index(0)
    assert found.probabilities[place] == pytest.approx(records[name], abs=2e-6)


@pytest.mark.slow
def test_a_file_is_predicted_by_fewer_frames(folder, data, checkpoint):
    stage_runs.run_script(
        "infer",
        *(f"--checkpoint={checkpoint}", "--gpu=-1"),
        *("--frame_selection=uniform_k", "--frame_budget=2"),
        f"--videos={folder / 'videos'}",
        f"--extractor_file={data / 'extractor.json'}",
        f"--output_file={folder / 'two.csv'}",
    )
    extractor = distill.read_extractor(data / "extractor.json")
    name = "high/3.mp4"
    path = folder / "videos" / name
    with (
        DecodingProcess(VideoSettings()) as process,
        process.open(path) as video,
    ):
        found = extractor.features(video, range(video.info.num_frames))
    frames = np.concatenate([found["rgb"], found["audio"]], axis=1)
    two = distill.Predictor.load(
        checkpoint, budget=FrameBudget.of(num_frames=2)
    )
    results = [
        two.predict(frames),
        two.predict_video(path, extractor),
        distill.Predictor.load(checkpoint).predict(frames),
    ]
    first, second, other = (
        result.probabilities[result.class_indexes.tolist().index(0)]
        for result in results
    )
    assert first == second != other
    stored = read_predictions(folder / "two.csv")[name]
    assert stored == pytest.approx(first, abs=2e-6)


@pytest.mark.slow
def test_a_budget_is_extracted_alone(folder, data, checkpoint):
    network = load_network(checkpoint, "student")
    assert network.budget == FrameBudget("uniform_k", num_frames=3)
    stage_runs.run_script(
        "extract",
        *extraction_flags(folder, "few"),
        *("--frame_selection=uniform_k", "--frame_budget=3"),
    )
    sizes = [
        sum(path.stat().st_size for path in (folder / name).glob("*.tfrecord"))
        for name in ("few", "data")
    ]
    assert sizes[0] < 0.75 * sizes[1]
    flags = [f"--checkpoint={checkpoint}", "--gpu=-1"]
    for name in ("few", "data"):
        stage_runs.run_script(
            "infer",
            *flags,
            f"--flagfile={folder / name / 'dataset.cfg'}",
            f"--input_data_pattern={folder / name}/*.tfrecord",
            f"--output_file={folder / name}.csv",
        )
    few, whole = (
        (folder / f"{name}.csv").read_text() for name in ("few", "data")
    )
    assert few == whole


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_extraction_goes_on(number, folder, data):
    name = f"killed_{number}"
    flags = [*extraction_flags(folder, name), "--num_processes=1"]
    with stage_runs.start_script("extract", *flags) as process:
        done = folder / name
        wait_until(lambda: len(list(done.glob("*.tfrecord"))) > 1, process)
        process.send_signal(number)
        process.communicate()
    kept = {p.name: p.stat().st_mtime_ns for p in done.glob("*.tfrecord")}
    assert 1 < len(kept) < 6
    assert not (done / "dataset.cfg").exists()
    time.sleep(0.01)
    stage_runs.run_script("extract", *flags)
    for path in data.glob("*.tfrecord"):
        assert (done / path.name).read_bytes() == path.read_bytes()
    for file, moment in kept.items():
        assert (done / file).stat().st_mtime_ns == moment
    assert not list(done.glob(".*.tmp*"))


def test_another_network_is_refused(folder, data, checkpoint):
    other = folder / "other.json"
    fields = json.loads((data / "extractor.json").read_text())
    fields["settings"]["image_scale"] = "unit"
    other.write_text(json.dumps(fields))
    done = stage_runs.run_script(
        "infer",
        f"--checkpoint={checkpoint}",
        f"--videos={folder / 'videos'}",
        f"--extractor_file={other}",
        f"--output_file={folder / 'no.csv'}",
        "--gpu=-1",
        status=1,
    )
    line = stage_runs.error_line(done)
    assert f"{other} was written with rgb=" in line
    assert not (folder / "no.csv").exists()


def test_a_file_that_describes_no_extractor_is_named(tmp_path):
    path = tmp_path / "extractor.json"
    path.write_text("text")
    with pytest.raises(ValueError, match=f"{path} describes no extractor: it"):
        distill.read_extractor(path)


def test_settings_of_records_are_checked():
    fields = {"num_shards": 0, "on_bad_video": "ignore", "max_frames": 0}
    for name, value in fields.items():
        with pytest.raises(ValueError, match=name):
            dataclasses.replace(ExtractSettings(), **{name: value})


@contextlib.contextmanager
def video_service(folder, data, checkpoint, *flags):
    """Gives a process of `distill serve`, and the address for videos."""
    with stage_runs.start_script(
        "serve",
        f"--artifact={checkpoint}",
        f"--extractor_file={data / 'extractor.json'}",
        *("--port=0", "--gpu=-1"),
        *flags,
    ) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("serving "), line + process.stderr.read()
            yield process, line.split(" at ")[1].strip() + ":predict_video"
        finally:
            process.kill()


def ask_for(path, address):
    """Returns the answer to a form with a video."""
    answer = httpx.post(
        address,
        files={"video": (path.name, path.read_bytes())},
        timeout=HANG_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.slow
def test_the_service_predicts_files_as_infer_does(folder, data, checkpoint):
    predictor = distill.Predictor.load(checkpoint)
    extractor = distill.read_extractor(data / "extractor.json")
    with video_service(folder, data, checkpoint, "--workers=2") as running:
        process, address = running
        for name in ("high/3.mp4", "low/1.mp4"):
            found = ask_for(folder / "videos" / name, address)
            own = predictor.predict_video(folder / "videos" / name, extractor)
            (row,) = found["predictions"]
            assert row["class_indexes"] == own.class_indexes.tolist()
            found_bits = np.array(row["probabilities"], np.float32)
            np.testing.assert_array_equal(found_bits, own.probabilities)
            assert found["video"]["num_decoded_frames"] == 3
        process.send_signal(signal.SIGHUP)
        for _ in range(2):
            assert process.stdout.readline().startswith("reloaded ")
        again = ask_for(folder / "videos" / "low/1.mp4", address)
        assert again["predictions"] == found["predictions"]
        process.terminate()
        assert process.wait(HANG_SECONDS) == 0


@pytest.mark.slow
def test_a_stop_answers_the_videos_that_have_come(folder, data, checkpoint):
    path = folder / "videos" / "high/3.mp4"
    flags = ["--video_processes=1", f"--stop_timeout_seconds={HANG_SECONDS}"]
    with (
        video_service(folder, data, checkpoint, *flags) as (process, address),
        ThreadPoolExecutor(6) as clients,
    ):
        place = address.partition("/v1/")[0]
        held = [clients.submit(ask_for, path, address) for _ in range(6)]
        waits = r"distill_video_files [3-6]\.0"
        wait_until(
            lambda: (
                re.search(waits, httpx.get(f"{place}/metrics").text)
                or any(one.done() for one in held)
            ),
            process,
        )
        # As systemd does: to every process of the service.
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        with open(children) as file:
            pids = [process.pid, *map(int, file.read().split())]
        wait_until(lambda: any(one.done() for one in held), process)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        answers = [one.result() for one in held]
        assert process.wait(HANG_SECONDS) == 0
    assert len({str(one["predictions"]) for one in answers}) == 1


@pytest.mark.slow
def test_an_extractor_of_other_features_is_refused(folder, data, checkpoint):
    other = folder / "without_sound.json"
    fields = json.loads((data / "extractor.json").read_text())
    fields["settings"]["audio_network"] = None
    other.write_text(json.dumps(fields))
    done = stage_runs.run_script(
        "serve",
        f"--artifact={checkpoint}",
        f"--extractor_file={other}",
        *("--port=0", "--gpu=-1"),
        status=1,
    )
    line = stage_runs.error_line(done)
    assert "The network reads the feature 'audio' of 128 numbers" in line
