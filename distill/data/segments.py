"""Parses a frame-level record to the five-frame segments of its video.

YouTube-8M Segments (2019). A record's context holds the parallel lists
`segment_start_times`, `segment_end_times`, `segment_labels` and
`segment_scores`: people rated whether a class shows in a segment, for few
classes of few segments. Unrated pairs of segment and class are unknown.

As in `distill.data.records`, nothing raises in the graph: a bad record becomes
one empty segment with a reason code.
"""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.data.kept_frames import BUDGET_KEY
from distill.data.reasons import GOOD, first_reason
from distill.data.records import Parsed
from distill.data.stored_frames import StoredFrames
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.frame_selection import select_frames
from distill.settings.schema import SEGMENT_FRAMES, DataSchema

_LISTS = {
    "segment_start_times": tf.int64,
    "segment_end_times": tf.int64,
    "segment_labels": tf.int64,
    "segment_scores": tf.float32,
}
_KINDS = {tf.int64: "int64_list", tf.float32: "float_list"}


def parse_segments(
    serialized: tf.Tensor,
    schema: DataSchema,
    need_labels: bool,
    budget: FrameBudget = ALL_FRAMES,
    draw_key: str = EVALUATION_KEY,
) -> dict[str, tf.Tensor]:
    """Parses the rated segments, or all of them where no labels are needed.

    Args:
      serialized: Scalar string, a SequenceExample.
      schema: The record's layout.
      need_labels: Whether only rated segments are read.
      budget: The frames kept of each segment.
      draw_key: Key of the random numbers that select frames.

    Returns:
      Dict of `reason` (scalar, 0 if good), `id` string `[segments]`
      (`VIDEO:START`), `frames` uint8 (float32 of data with floats)
      `[segments, kept frames, features]`, zeros beyond the last, `num_frames`
      int32 `[segments]`, `labels` bool `[segments, classes]`, the positive
      ones, and `label_weights` bool `[segments, classes]`, the rated ones.
    """
    parse = parse_rated_segments if need_labels else parse_all_segments
    parsed = parse(serialized, schema)
    draws = draw_for_videos(
        parsed["id"], budget.num_draws(SEGMENT_FRAMES), draw_key
    )
    videos = {key: parsed[key] for key in ("frames", "num_frames")}
    kept = select_frames(
        videos | {"draws": draws}, budget, schema.quantisation_range
    )
    return parsed | {key: kept[key] for key in videos}


def parse_rated_segments(
    serialized: tf.Tensor, schema: DataSchema
) -> dict[str, tf.Tensor]:
    """Parses every rated segment, in the order of the lists, with all frames.

    A (segment, class) pair is positive if one of its scores is above 0. A
    segment that the video's end cuts keeps its real frames.
    """
    stored, frames_reason = _parse_one(
        serialized,
        schema,
        {key: tf.io.VarLenFeature(kind) for key, kind in _LISTS.items()},
    )
    lists = [stored.context[key].values for key in _LISTS]
    video_id = stored.context[schema.id_key][0]
    num_frames = stored.num_frames[0]
    reason = _check_segments(video_id, frames_reason, lists, schema, num_frames)

    def cut():
        starts, _, labels, scores = lists
        starts, segments = tf.unique(starts, out_idx=tf.int64)
        pairs = tf.stack([segments, labels], axis=1)
        shape = [tf.size(starts, tf.int64), schema.num_classes]
        ratings = {
            "labels": tf.scatter_nd(pairs, _is_positive(scores), shape) > 0,
            "label_weights": tf.scatter_nd(
                pairs, tf.ones_like(labels, tf.int32), shape
            )
            > 0,
        }
        return ratings | _cut_frames(video_id, stored, starts)

    return _cut_if_good(reason, cut, schema)


def parse_all_segments(
    serialized: tf.Tensor, schema: DataSchema
) -> dict[str, tf.Tensor]:
    """Parses the segments from frame 0, 5, 10 ... on, as if unrated.

    The last one may have fewer than five frames. Without `segment_tails` it is
    left out, so a video may have no segment.
    """
    stored, reason = _parse_one(serialized, schema, {})
    video_id = stored.context[schema.id_key][0]
    reason = first_reason([(tf.equal(video_id, ""), "no id")], reason)

    def cut():
        count = tf.cast(stored.num_frames[0], tf.int64)
        if schema.segment_tails:
            count += SEGMENT_FRAMES - 1
        count //= SEGMENT_FRAMES
        nothing = tf.zeros([count, schema.num_classes], tf.bool)
        starts = SEGMENT_FRAMES * tf.range(count)
        return {
            "labels": nothing,
            "label_weights": nothing,
        } | _cut_frames(video_id, stored, starts)

    return _cut_if_good(reason, cut, schema)


def _parse_one(
    serialized: tf.Tensor, schema: DataSchema, context_features: dict[str, Any]
) -> tuple[StoredFrames, tf.Tensor]:
    """Returns one record's frames, in a batch, and its reason code."""
    string = tf.io.FixedLenFeature([], tf.string, default_value="")
    keys = dict.fromkeys((schema.id_key, BUDGET_KEY), string)
    stored = StoredFrames(serialized[None], schema, keys | context_features)
    is_other = stored.context[BUDGET_KEY] != ""
    reason = first_reason(
        [(is_other, "frames of another budget")], stored.reason
    )
    return stored, reason[0]


def _check_segments(
    video_id: tf.Tensor,
    frames_reason: tf.Tensor,
    lists: list[tf.Tensor],
    schema: DataSchema,
    num_frames: tf.Tensor,
) -> tf.Tensor:
    counts = tf.stack([tf.size(each) for each in lists])
    least = tf.reduce_min(counts)
    starts, ends, labels, scores = (each[:least] for each in lists)
    num_frames = tf.cast(num_frames, tf.int64)
    failed = {
        "segment lists of different lengths": counts != counts[0],
        "label outside the classes": (labels < 0)
        | (labels >= schema.num_classes),
        "segment score outside 0 to 1": ~((scores >= 0) & (scores <= 1)),
        "segment of another length": ends - starts != SEGMENT_FRAMES,
        "segment outside the video": (starts < 0) | (starts >= num_frames),
    }
    checks = [(tf.reduce_all(counts == 0), "no rated segments")]
    checks += [(tf.reduce_any(each), reason) for reason, each in failed.items()]
    reason = first_reason(checks, tf.constant(GOOD))
    reason = tf.where(frames_reason != GOOD, frames_reason, reason)
    return first_reason([(tf.equal(video_id, ""), "no id")], reason)


def _is_positive(scores: tf.Tensor) -> tf.Tensor:
    # By the bits: TensorFlow treats the smallest floats as 0.
    return tf.cast(tf.bitcast(scores, tf.int32) > 0, tf.int32)


def _cut_frames(
    video_id: tf.Tensor, stored: StoredFrames, starts: tf.Tensor
) -> Parsed:
    """Returns `id`, `frames` and `num_frames` of the segments from `starts`."""
    num_frames = tf.cast(stored.num_frames[0], tf.int64)
    indexes = starts[:, None] + tf.range(SEGMENT_FRAMES, dtype=tf.int64)
    is_real = indexes < num_frames
    indexes = tf.cast(tf.minimum(indexes, num_frames - 1), tf.int32)
    frames = stored.take(tf.reshape(indexes, [1, -1]), tf.size(indexes)[None])
    shape = tf.stack([tf.size(starts), SEGMENT_FRAMES, frames.shape[2]])
    frames = tf.reshape(frames, shape)
    return {
        "id": tf.strings.join([video_id, ":", tf.strings.as_string(starts)]),
        "frames": tf.where(is_real[..., None], frames, tf.zeros_like(frames)),
        "num_frames": tf.reduce_sum(tf.cast(is_real, tf.int32), axis=1),
    }


def _cut_if_good(
    reason: tf.Tensor, cut: Callable[[], Parsed], schema: DataSchema
) -> Parsed:
    """Returns the segments of a good record, one empty one of a bad."""
    classes = [schema.num_classes]
    layout = {
        "id": ([], tf.string),
        "labels": (classes, tf.bool),
        "label_weights": (classes, tf.bool),
        "frames": (
            [SEGMENT_FRAMES, schema.num_features],
            tf.as_dtype(schema.frame_type),
        ),
        "num_frames": ([], tf.int32),
    }

    def make_empty():
        return {
            name: tf.zeros([1, *shape], kind)
            for name, (shape, kind) in layout.items()
        }

    segments = tf.cond(tf.equal(reason, GOOD), cut, make_empty)
    for name, (shape, _) in layout.items():
        segments[name] = tf.ensure_shape(segments[name], [None, *shape])
    return segments | {"reason": reason}


def check_segments(
    context: Any, num_frames: int, schema: DataSchema
) -> Iterator[str]:
    """Yields what is wrong with a record's rated segments.

    What comes after the first problem may follow from it.
    """
    lists = {}
    for key, kind in _LISTS.items():
        found = context[key].WhichOneof("kind") if key in context else None
        if found not in (_KINDS[kind], None):
            yield f"the list {key!r} is a {found}, not of {_KINDS[kind]}"
        lists[key] = getattr(context[key], _KINDS[kind]).value if found else []
    counts = {key: len(values) for key, values in lists.items()}
    if not any(counts.values()):
        yield (
            f"no rated segments under {', '.join(map(repr, _LISTS))} "
            f"(--segment_labels); the record has the keys {sorted(context)}"
        )
    if len(set(counts.values())) > 1:
        yield f"its segment lists differ in length: {counts}"
    starts, ends, labels, scores = lists.values()
    for label in labels:
        if not 0 <= label < schema.num_classes:
            yield (
                f"segment label {label} is outside the {schema.num_classes} "
                f"classes (0 to {schema.num_classes - 1}, --num_classes)"
            )
    for score in scores:
        if not 0 <= score <= 1:
            yield f"segment score {score} is outside 0 to 1"
    for start, end in zip(starts, ends, strict=True):
        if end - start != SEGMENT_FRAMES:
            yield (
                f"the segment from frame {start} to before {end} has "
                f"{end - start} frames instead of {SEGMENT_FRAMES}"
            )
    for start in starts:
        if not 0 <= start < num_frames:
            yield (
                f"a segment starts at frame {start}, outside the video's "
                f"{num_frames} frames"
            )
