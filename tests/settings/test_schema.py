"""The presets, what overrides them, and what fits together."""

import dataclasses

import pytest

from distill.settings.schema import DataSchema, make_schema

BOTH = (("rgb", "audio"), (1024, 128))


@pytest.mark.parametrize(
    ("dataset", "id_key", "features", "num_classes", "max_frames"),
    [
        ("yt8m_2018", "id", BOTH, 3862, 300),
        ("yt8m_2017", "video_id", BOTH, 4716, 300),
        ("audioset", "video_id", (("audio_embedding",), (128,)), 527, 10),
    ],
)
def test_frame_level_presets_are_the_published_layouts(
    dataset, id_key, features, num_classes, max_frames
):
    schema = make_schema(dataset)
    assert schema == DataSchema(
        frame_features=True,
        feature_names=features[0],
        feature_sizes=features[1],
        id_key=id_key,
        labels_key="labels",
        num_classes=num_classes,
        max_frames=max_frames,
    )
    assert schema.num_features == sum(features[1])


def test_the_preset_of_mediapipe_has_the_keys_of_its_extraction():
    schema = make_schema("mediapipe")
    assert schema == dataclasses.replace(
        make_schema("yt8m_2018"),
        feature_names=("RGB/feature/floats", "AUDIO/feature/floats"),
        id_key="clip/data_path",
        labels_key="clip/label/index",
        float_frames=True,
    )


@pytest.mark.parametrize(
    ("dataset", "id_key", "num_classes"),
    [("yt8m_2018", "id", 3862), ("yt8m_2017", "video_id", 4716)],
)
def test_video_level_presets_hold_the_mean_features(
    dataset, id_key, num_classes
):
    schema = make_schema(dataset, frame_features=False)
    assert not schema.frame_features
    assert schema.feature_names == ("mean_rgb", "mean_audio")
    assert schema.feature_sizes == (1024, 128)
    assert (schema.id_key, schema.labels_key) == (id_key, "labels")
    assert schema.num_classes == num_classes


def test_overrides_replace_the_preset_s_fields():
    others = {"id_key": "video_id", "labels_key": "tags"}
    others |= {"num_classes": 10, "max_frames": 20}
    schema = make_schema(
        "yt8m_2018", feature_names=["rgb"], feature_sizes=[512], **others
    )
    assert schema == DataSchema(True, ("rgb",), (512,), **others)


def test_an_override_of_none_keeps_the_preset_s():
    overrides = {
        field.name: None
        for field in dataclasses.fields(DataSchema)
        if field.name != "frame_features"
    }
    assert make_schema("audioset", **overrides) == make_schema("audioset")


@pytest.mark.parametrize(
    ("dataset", "level", "choices"),
    [
        ("yt8m", "frame", "audioset, mediapipe, yt8m_2017, yt8m_2018"),
        ("yt8m", "video", "yt8m_2017, yt8m_2018"),
        ("audioset", "video", "yt8m_2017, yt8m_2018"),
    ],
)
def test_an_unknown_dataset_lists_those_of_the_level(dataset, level, choices):
    message = f"^Unknown {level}-level dataset '{dataset}'.*: {choices}[.]$"
    with pytest.raises(ValueError, match=message):
        make_schema(dataset, frame_features=level == "frame")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"feature_names": (), "feature_sizes": ()}, "must name one feature"),
        (
            {"feature_names": ("rgb",)},
            r"equally many, got \['rgb'\] and \[1024",
        ),
        ({"feature_names": ("rgb", "rgb")}, "feature_names holds a name twice"),
        ({"quantisation_max": -2.0}, "quantisation_max must be above"),
        ({"quantisation_min": float("nan")}, "both finite, got 2.0 and nan"),
        (
            {"frame_features": False, "float_frames": True},
            "float_frames is for frame-level records",
        ),
        (
            {"frame_features": False, "float_features": ("mean_rgb",)},
            "float_features is for frame-level records",
        ),
        ({"float_features": ("sound",)}, "names 'sound', which is not among"),
        (
            {"float_frames": True, "float_features": ("rgb",)},
            "give it, or float_features, not both",
        ),
        ({"num_classes": 0}, r"num_classes must be 1 or more, got 0\."),
        ({"max_frames": -1}, r"max_frames must be 1 or more, got -1\."),
        ({"feature_sizes": (1024, 0)}, r"audio must be 1 or more, got 0\."),
    ],
)
def test_fields_that_do_not_fit_are_an_error(overrides, message):
    with pytest.raises(ValueError, match=message):
        make_schema("yt8m_2018", **overrides)
