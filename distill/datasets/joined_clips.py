"""Long videos made of short clips, one after another.

A data set of short clips (AudioSet's have 10 frames) becomes one of videos
long enough to study frame budgets. A first pass checks every clip and notes
where it lies; the second reads the clips in the order of the videos, so that
memory holds the frames of one video only.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.files import check_files, describe_files
from distill.data.record_forms import unpack_frames
from distill.datasets.shards import (
    check_replaced,
    find_shards,
    read_whole_videos,
    serialize_record,
    write_shards,
)
from distill.settings.join import FRAMES_KEY, IDS_KEY, JoinSettings
from distill.settings.schema import (
    RECORD_FORMS,
    DataSchema,
    describe_record_settings,
)
from distill.system.storage import to_path


class Clip(NamedTuple):
    """The place of a clip, its length and its labels.

    Attributes:
      file: Its file's name.
      record_number: Its record's number in the file, from 0.
      offset: Byte of the file at which the record begins.
      record_size: Bytes of the record.
      checksum: zlib's CRC-32 of the record.
      num_frames: Its frames, including those that are not kept.
      labels: Its classes.
    """

    file: str
    record_number: int
    offset: int
    record_size: int
    checksum: int
    num_frames: int
    labels: tuple[int, ...]


def index_clips(files: list[str], schema: DataSchema) -> list[Clip]:
    """Reads and checks every record once."""
    check_files(files)
    clips = [
        Clip(
            file,
            clip.record_number,
            clip.offset,
            len(clip.record),
            zlib.crc32(clip.record),
            clip.num_frames,
            tuple(
                clip.message.context.feature[schema.labels_key].int64_list.value
            ),
        )
        for file in files
        for clip in read_whole_videos(file, schema, need_labels=True)
    ]
    if not clips:
        raise BadRecordError(f"No record in {describe_files(files)}.")
    return clips


def read_clip(clip: Clip, schema: DataSchema) -> tf.train.SequenceExample:
    """Reads a clip again, with lists of frames.

    Raises:
      BadRecordError: The file has changed since.
    """
    place = f"{clip.file}, record {clip.record_number}"
    try:
        # Opened for each clip: there may be more files than can be open.
        with tf.io.gfile.GFile(clip.file, "rb") as file:
            file.seek(clip.offset)
            record = file.read(clip.record_size)
    except tf.errors.OpError as error:
        raise BadRecordError(f"{place}: {error.message}.") from error
    if zlib.crc32(record) != clip.checksum:
        raise BadRecordError(f"{place}: the file changed after its check.")
    message = tf.train.SequenceExample.FromString(record)
    unpack_frames(message, schema)
    return message


def join_labels(clips: list[Clip]) -> list[int]:
    """Returns the classes of some clips, each once, ascending."""
    return sorted({label for clip in clips for label in clip.labels})


def join_clips(
    video_id: str,
    clips: list[Clip],
    schema: DataSchema,
    record_form: str = RECORD_FORMS[0],
) -> bytes:
    """Returns the record of a video made of some clips.

    It holds the features that the schema names, the clips' ids and their
    numbers of frames; nothing else of the clips' records.
    """
    video = tf.train.SequenceExample()
    context = video.context.feature
    context[schema.id_key].bytes_list.value.append(video_id.encode())
    context[schema.labels_key].int64_list.value.extend(join_labels(clips))
    for clip in clips:
        message = read_clip(clip, schema)
        num_frames = min(clip.num_frames, schema.max_frames)
        context[IDS_KEY].MergeFrom(message.context.feature[schema.id_key])
        context[FRAMES_KEY].int64_list.value.append(num_frames)
        for name in schema.feature_names:
            frames = message.feature_lists.feature_list[name]
            del frames.feature[num_frames:]
            video.feature_lists.feature_list[name].MergeFrom(frames)
    return serialize_record(video, record_form, schema.feature_names)


class JoinedVideos:
    """The videos that some files' clips become.

    Args:
      settings: Settings of joining.
      files: The clips' files; the constructor reads and checks them.
      output_dir: Where the videos' files go.

    Raises:
      ValueError: Files files would be replaced that
        are inputs or not made of clips.
      BadRecordError: A record or file is bad, or there is no record.
    """

    def __init__(
        self, settings: JoinSettings, files: list[str], output_dir: str | Path
    ) -> None:
        self.settings = settings
        self.files = files
        self.output_dir = to_path(output_dir)
        prefix = settings.output_prefix
        self.description = self.output_dir / f"joined_{prefix}.json"
        check_replaced(
            find_shards(self.output_dir, prefix),
            files,
            lambda path: self.description.exists(),
            self.description,
            instead="output_dir or output_prefix",
        )
        self.clips = index_clips(files, settings.schema)
        self.videos = self._plan()

    def _plan(self) -> list[tuple[str, list[Clip]]]:
        settings, size, videos = self.settings, self.settings.num_clips, []
        for each in range(settings.repeats):
            random = np.random.default_rng([settings.seed, each])
            order = random.permutation(len(self.clips))
            name = f"{settings.output_prefix}-{size}clips-seed{settings.seed}"
            for index, start in enumerate(range(0, len(order), size)):
                chosen = [self.clips[i] for i in order[start : start + size]]
                videos.append((f"{name}-pass{each}-{index:07d}", chosen))
        return videos

    def write(self) -> Iterator[tuple[Path, bool]]:
        """Writes the videos in shards, each whole or not at all.

        Existing shards are kept if the settings and the names and sizes of the
        inputs are the same.

        Yields:
          Every shard's path and whether it was written now.
        """
        inputs = {file: tf.io.gfile.stat(file).length for file in self.files}

        def make_records(first, last):
            schema, form = self.settings.schema, self.settings.record_form
            for video in self.videos[first:last]:
                yield join_clips(*video, schema, form)

        return write_shards(
            self.output_dir,
            self.settings.output_prefix,
            self.settings.num_shards,
            len(self.videos),
            make_records,
            self.description,
            describe_record_settings(self.settings) | {"inputs": inputs},
        )

    def summarize(self) -> list[str]:
        """Returns lines on the videos' number, frames and labels."""
        most = self.settings.schema.max_frames
        frames, labels = [], []
        for _, clips in self.videos:
            frames.append(sum(min(clip.num_frames, most) for clip in clips))
            labels.append(len(join_labels(clips)))
        lines = [
            f"{len(self.clips)} clips, {len(frames)} videos: {min(frames)} to "
            f"{max(frames)} frames, on average {np.mean(frames):.1f}, with "
            f"{np.mean(labels):.2f} labels on average"
        ]
        if rest := len(self.clips) % self.settings.num_clips:
            lines.append(f"the last video of each pass has only {rest} clips")
        if num_cut := sum(clip.num_frames > most for clip in self.clips):
            lines.append(f"{num_cut} clips were cut to --max_frames={most}")
        return lines
