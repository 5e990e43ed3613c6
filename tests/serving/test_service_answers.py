"""Every address and every form of a good request, by what is answered."""

import base64
import dataclasses

import numpy as np
import pytest
from fake_predictor import (
    MAX_FRAMES,
    NUM_CLASSES,
    WIDTH,
    ask,
    constant,
    expected,
    fake_predictor,
    post,
)


def encode(values, kind=np.uint8):
    content = np.asarray(values, kind).tobytes()
    return {"b64": base64.b64encode(content).decode()}


def check_best(answer, mean):
    assert answer["class_indexes"] == [5, 4, 3]
    assert answer["class_names"] == ["class 5", "class 4", "class 3"]
    np.testing.assert_allclose(
        answer["probabilities"], expected(mean)[[5, 4, 3]], atol=1e-6
    )


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_row_format_is_answered_row_by_row(version):
    path = f"/v1/models/student{version}:predict"
    instances = [{"frames": constant(v)} for v in (7, 1, 4)]
    answer = post({"instances": instances}, path=path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["predictions"]
    for row, mean in zip(answer.json()["predictions"], (7, 1, 4), strict=True):
        check_best(row, mean)
        assert len(row) == 3


def test_columnar_format_is_answered_by_columns():
    inputs = {"frames": [constant(3), constant(9, 5)], "num_frames": [2, 1]}
    answer = post({"inputs": inputs, "signature_name": "serving_default"})
    outputs = answer.json()["outputs"]
    assert outputs.keys() == {"class_indexes", "class_names", "probabilities"}
    for index, mean in enumerate((3, 9)):
        check_best({k: v[index] for k, v in outputs.items()}, mean)


@pytest.mark.parametrize("form", ["row", "columnar"])
def test_full_answers_hold_every_class(form):
    body = {"instances": [{"frames": constant(8)}]}
    if form == "columnar":
        body = {"inputs": {"frames": [constant(8)]}}
    answer = post(body | {"parameters": {"full": True}}).json()
    if form == "row":
        row = answer["predictions"][0]["predictions"]
    else:
        row = answer["outputs"]["predictions"][0]
    np.testing.assert_allclose(row, expected(8), atol=1e-6)


def test_frames_beyond_num_frames_have_no_effect():
    frames = constant(6, 2) + constant(200, MAX_FRAMES)
    answer = post({"instances": [{"frames": frames, "num_frames": 2}]})
    check_best(answer.json()["predictions"][0], 6)


def test_base64_equals_lists():
    frames = np.arange(3 * WIDTH).reshape(3, WIDTH) * 7
    listed, encoded = (
        post({"instances": [{"frames": value, "num_frames": 2}]}).json()
        for value in (frames.tolist(), encode(frames))
    )
    assert listed == encoded
    check_best(listed["predictions"][0], frames[:2].mean())


def test_floats_are_quantised_and_whole_numbers_are_bytes():
    # 1.0 is nearest to byte 191; the whole 2 is a float beside a fraction.
    mixed = [[2, 2, 2, 2], [2.0, 2, 2, 2]]
    cases = ((constant(1.0), 191), (mixed, 255), (constant(2), 2))
    answer = post({"instances": [{"frames": frames} for frames, _ in cases]})
    for row, (_, mean) in zip(answer.json()["predictions"], cases, strict=True):
        check_best(row, mean)


@pytest.mark.parametrize("encoded", [False, True])
def test_float_frames_are_taken_as_they_are(encoded):
    values = [[0.5, 40, -3, 2.5], [1e3, 8, 9, 10]]
    frames = encode(values, "<f4") if encoded else values
    predictor = fake_predictor()
    schema = dataclasses.replace(predictor.interface.schema, float_frames=True)
    predictor.interface = dataclasses.replace(
        predictor.interface, schema=schema
    )
    answer = post({"instances": [{"frames": frames}]}, predictor=predictor)
    check_best(answer.json()["predictions"][0], np.mean(values))
    short = {"b64": base64.b64encode(bytes(20)).decode()}
    answer = post({"instances": [{"frames": short}]}, predictor=predictor)
    assert "20 bytes, not a multiple of a frame's 16" in answer.json()["error"]


@pytest.mark.parametrize("columnar", [False, True])
@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("encoded", [False, True])
def test_video_level_model_takes_one_vector_a_video(columnar, bare, encoded):
    vectors = [[0.5, 1.5, 0, 2], [16, 16, 16, 16]]
    values = [encode(v, "<f4") for v in vectors] if encoded else vectors
    if columnar:
        body = {"inputs": values if bare else {"features": values}}
    else:
        rows = values if bare else [{"features": value} for value in values]
        body = {"instances": rows}
    answer = post(body, predictor=fake_predictor(frame_features=False)).json()
    for index, mean in enumerate((1, 16)):
        if columnar:
            row = {k: v[index] for k, v in answer["outputs"].items()}
        else:
            row = answer["predictions"][index]
        check_best(row, mean)


def test_top_k_is_bounded_by_the_classes():
    body = {"instances": [{"frames": constant(0)}]}
    answer = post(body, options={"top_k": 20}).json()["predictions"][0]
    assert answer["class_indexes"] == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_status_and_metadata_have_tensorflow_servings_form(version):
    place = f"/v1/models/student{version}"
    assert ask("GET", place).json() == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    answer = ask("GET", f"{place}/metadata").json()
    assert answer["model_spec"] == {
        "name": "student",
        "signature_name": "",
        "version": "1",
    }
    signature = answer["metadata"]["signature_def"]["signature_def"]
    frames = signature["serving_default"]["inputs"]["frames"]
    assert frames["dtype"] == "DT_UINT8"
    sizes = [dim["size"] for dim in frames["tensor_shape"]["dim"]]
    assert sizes == ["-1", "-1", str(WIDTH)]
    model = answer["metadata"]["model"]
    assert model["name"] == "fake.onnx"
    assert model["schema"]["num_classes"] == NUM_CLASSES


def test_metadata_of_a_video_level_model_has_one_input():
    answer = ask(
        "GET", "/v1/models/student/metadata", fake_predictor(False)
    ).json()
    signature = answer["metadata"]["signature_def"]["signature_def"]
    assert list(signature["serving_default"]["inputs"]) == ["features"]
