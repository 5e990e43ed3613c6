"""Records and files that are bad in every way, and what is said of them.

Nothing here uses the code under test.
"""

import numpy as np
import pytest

from tests.data.record_files import context_of, draw_videos

CORRUPT = "the file is truncated or corrupt there"


def rename(old, new):
    """Returns what puts a key's values, or a feature's frames, elsewhere."""

    def spoil(message):
        held = context_of(message)
        if old not in held:
            held = message.feature_lists.feature_list
        held[new].CopyFrom(held[old])
        del held[old]

    return spoil


def append(key, kind, *values):
    """Returns what adds values, of some kind, to those of a key."""

    def spoil(message):
        getattr(context_of(message)[key], kind).value.extend(values)

    return spoil


def set_label(value):
    return append("labels", "int64_list", value)


def empty_id(message):
    context_of(message)["id"].bytes_list.value[0] = b""


def empty_labels(message):
    del context_of(message)["labels"].int64_list.value[:]


def frames_of(message, name):
    return message.feature_lists.feature_list[name].feature


def rename_both(message):
    rename("audio", "sound")(message)
    rename("rgb", "image")(message)


def cut_frames(**counts):
    """Returns what keeps the first few frames of some features."""

    def spoil(message):
        for name, count in counts.items():
            del frames_of(message, name)[count:]

    return spoil


def change_frame(change):
    return lambda message: change(frames_of(message, "rgb")[1])


no_frames = cut_frames(rgb=0, audio=0)
short_audio = cut_frames(audio=2)


def narrow_frame(message):
    frames_of(message, "audio")[2].bytes_list.value[0] = b"x"


def wide_late_frame(message):
    for name, size in (("rgb", 3), ("audio", 2)):
        for _ in range(3):
            frame = frames_of(message, name).add()
            frame.bytes_list.value.append(b"x" * size)
    frames_of(message, "rgb")[5].bytes_list.value[0] = b"xxxx"


def set_mean(value):
    def spoil(message):
        context_of(message)["mean_audio"].float_list.value[1] = value

    return spoil


def junk(contents):
    return lambda message: contents


# What is done to a record, the words of its reason where skipping knows one,
# and what the message says of it.
CONTEXT_CASES = {
    "id under another key": (
        rename("id", "video_id"),
        "no id",
        "no id under the key 'id' (--id_key); the record has the keys "
        "['labels', {floats}'video_id']",
    ),
    "empty id": (
        empty_id,
        "no id",
        "the id under 'id' is not one non-empty string",
    ),
    "id a number": (
        append("id", "int64_list", 7),
        None,
        "the id under 'id' is not one non-empty string",
    ),
    "labels under another key": (
        rename("labels", "classes"),
        "no labels",
        "no labels under the key 'labels' (--labels_key); the record has the "
        "keys ['classes', 'id'{floats_last}]",
    ),
    "no labels": (
        empty_labels,
        "no labels",
        "the list of labels under 'labels' is empty",
    ),
    "label too large": (
        set_label(5),
        "label outside the classes",
        "label 5 is outside the 5 classes (0 to 4, --num_classes)",
    ),
    "label negative": (
        set_label(-1),
        "label outside the classes",
        "label -1 is outside the 5 classes",
    ),
    "label past int32": (
        set_label(2**32 + 1),
        "label outside the classes",
        "label 4294967297 is outside the 5 classes",
    ),
    "labels floats": (
        append("labels", "float_list", 1.0),
        None,
        "the labels under 'labels' are a float_list, not an int64_list",
    ),
    "labels strings": (
        append("labels", "bytes_list", b"1"),
        None,
        "the labels under 'labels' are a bytes_list, not an int64_list",
    ),
    "text": (junk(b"not a proto"), None, "it is no tf.train.{kind}"),
    "bytes that are no text": (
        junk(b"\xff\xfe" * 10),
        None,
        "it is no tf.train.{kind}",
    ),
    "zero bytes": (junk(bytes(8)), None, "it is no tf.train.{kind}"),
    "nothing": (
        junk(b""),
        "no id",
        "no id under the key 'id' (--id_key); the record has the keys []",
    ),
}
FRAME_CASES = {
    "feature missing": (
        rename("audio", "sound"),
        "missing feature",
        "no feature 'audio' (--feature_names); the record has the feature "
        "lists ['rgb', 'sound']",
    ),
    "every feature missing": (
        rename_both,
        None,
        "no feature 'rgb' (--feature_names); the record has the feature lists "
        "['image', 'sound']",
    ),
    "no frames": (
        no_frames,
        "no frames",
        "a video with no frames: {{'rgb': 0, 'audio': 0}}",
    ),
    "no frames in one list": (
        cut_frames(audio=0),
        None,
        "its feature lists differ in their number of frames: "
        "{{'rgb': 3, 'audio': 0}}",
    ),
    "lists of different lengths": (
        short_audio,
        "feature lists of different lengths",
        "its feature lists differ in their number of frames: "
        "{{'rgb': 3, 'audio': 2}}",
    ),
    "frame of the wrong width": (
        narrow_frame,
        "wrong width",
        "frame 2 of feature 'audio' has 1 bytes instead of 2 (--feature_sizes)",
    ),
    "wrong width beyond max_frames": (
        wide_late_frame,
        "wrong width",
        "frame 5 of feature 'rgb' has 4 bytes instead of 3 (--feature_sizes)",
    ),
    "frame of two strings": (
        change_frame(lambda frame: frame.bytes_list.value.append(b"xxx")),
        None,
        "frame 1 of feature 'rgb' is not one string of 3 bytes",
    ),
    "frame of no string": (
        change_frame(lambda frame: frame.bytes_list.Clear()),
        None,
        "frame 1 of feature 'rgb' is not one string of 3 bytes",
    ),
    "frame of floats": (
        change_frame(lambda frame: frame.float_list.value.append(1)),
        None,
        "frame 1 of feature 'rgb' is not one string of 3 bytes",
    ),
}
VIDEO_CASES = {
    "feature missing": (
        rename("mean_audio", "mean_sound"),
        "missing feature",
        "no feature 'mean_audio' (--feature_names); the record has the keys "
        "['id', 'labels', 'mean_rgb', 'mean_sound']",
    ),
    "feature of the wrong width": (
        append("mean_rgb", "float_list", 0.5),
        "wrong width",
        "feature 'mean_rgb' has 4 floats instead of 3 (--feature_sizes)",
    ),
    "feature of bytes": (
        append("mean_rgb", "bytes_list", b"xxx"),
        None,
        "feature 'mean_rgb' has 0 floats instead of 3 (--feature_sizes)",
    ),
    "NaN": (
        set_mean(np.nan),
        "value not finite",
        "feature 'mean_audio' holds the value nan",
    ),
    "infinity": (
        set_mean(-np.inf),
        "value not finite",
        "feature 'mean_audio' holds the value -inf",
    ),
}
CASES = [
    pytest.param(level, *case, id=f"{level}: {name}")
    for level, cases in (
        ("frame", CONTEXT_CASES | FRAME_CASES),
        ("video", CONTEXT_CASES | VIDEO_CASES),
    )
    for name, case in cases.items()
]


def draw_good(schema, count, prefix="v", seed=0):
    """Draws videos, at frame level of 3 frames each."""
    videos = draw_videos(schema, count, seed, prefix)
    random = np.random.default_rng(seed)
    if schema.frame_features:
        for video in videos:
            for name, size in (("rgb", 3), ("audio", 2)):
                video.features[name] = random.integers(
                    0, 256, (3, size), np.uint8
                )
    return videos


def spoil_record(video, spoil):
    """Returns the bytes of a video's record with something done to it."""
    message = video.message()
    spoiled = spoil(message)
    return message.SerializeToString() if spoiled is None else spoiled


def fill_in(problem, level):
    """Fills what differs between the levels into an expected message."""
    floats = "'mean_audio', 'mean_rgb'"
    return problem.format(
        kind="SequenceExample" if level == "frame" else "Example",
        floats=f"{floats}, " if level == "video" else "",
        floats_last=f", {floats}" if level == "video" else "",
    )


def flip(contents, position):
    changed = bytearray(contents)
    changed[position] ^= 0x55
    return bytes(changed)


# From the fifth of six records, as it lies in the file, and what follows it to
# the damaged rest of the file.
DAMAGES = {
    "payload changed": lambda record, after: flip(record, 20) + after,
    "length changed": lambda record, after: flip(record, 0) + after,
    "checksum of length changed": lambda record, after: flip(record, 9) + after,
    "checksum of payload changed": lambda record, after: (
        flip(record, -1) + after
    ),
    "payload cut": lambda record, after: record[:30],
    "last checksum cut": lambda record, after: record[:-2],
    "cut after the header": lambda record, after: record[:12],
    "header cut in the checksum": lambda record, after: record[:10],
    "header cut in the length": lambda record, after: record[:5],
    "no TFRecord": lambda record, after: b"These are no bytes of a TFRecord.\n",
}


def damage(framed, how):
    """Returns the bytes of a file of six records whose fifth is damaged."""
    return b"".join(framed[:4]) + DAMAGES[how](framed[4], framed[5])
