"""The list of models: every name, hand-counted sizes, no memory."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from distill.models import registry
from distill.models.presets import SMALL_SIZES
from distill.networks.model_list import list_models, print_models
from distill.settings.schema import make_schema

ROOT = Path(__file__).parents[2]
SCHEMA = make_schema("yt8m_2018")
FEATURES, CLASSES = 1152, 3862
MOE_COST = 5 * CLASSES  # 2 experts, 3 gates
MOE_BIASES = 2 * CLASSES


@pytest.fixture(scope="module")
def listed_models():
    """Returns every model's size, and the megabytes that took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    models = list_models(SCHEMA)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {model.name: model for model in models}, (after - before) / 1e3


def test_every_model_of_the_registry_is_listed_in_its_order(listed_models):
    models, _ = listed_models
    assert list(models) == list(registry.MODELS)
    for name, model in models.items():
        assert model.problem is None
        assert model.level == registry.get_entry(name).level
        assert model.arguments | model.classifier_arguments == {
            key: value
            for key, value in registry.resolve_arguments(name, {}).items()
            if key != "video_level_classifier_model"
        }
    pooled = models["PooledNetworkModel"]
    sizes = {"hidden_sizes", "dropout", "input_batch_norm"}
    assert set(pooled.arguments) == sizes
    assert pooled.classifier == "MoeModel"


def test_listing_allocates_no_weights(listed_models):
    models, megabytes = listed_models
    weights = sum(4e-6 * model.parameters for model in models.values())
    assert weights > 5000
    assert megabytes < 1000


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("LogisticModel", 1153 * CLASSES, FEATURES * CLASSES),
        ("FrameLevelLogisticModel", 1153 * CLASSES, FEATURES * CLASSES),
        ("MoeModel", FEATURES * MOE_COST + MOE_BIASES, FEATURES * MOE_COST),
        (
            "PooledNetworkModel",
            2305 * 1024 + 1024 * MOE_COST + MOE_BIASES,
            2304 * 1024 + 1024 * MOE_COST,
        ),
        (
            "HierarchicalLstmModel",
            4096 * ((1153 + 1024) + (1025 + 1024))
            + 4096 * ((4097 + 1024) + (1025 + 1024))
            + 4096 * MOE_COST
            + MOE_BIASES,
            300 * 4096 * ((1152 + 1024) + (1024 + 1024))
            + 20 * 4096 * ((4096 + 1024) + (1024 + 1024))
            + 4096 * MOE_COST,
        ),
    ],
)
def test_counts_are_those_made_by_hand(listed_models, name, parameters, macs):
    model = listed_models[0][name]
    assert model.parameters == parameters
    assert model.macs == macs


def test_sizes_that_do_not_fit_the_data_are_named(capsys):
    schema = make_schema("audioset", feature_sizes=(129,))
    models = list_models(schema, ["NeXtVLADModel", "LogisticModel"])
    assert models[0].parameters is None
    assert "(2 * 129), got 8" in models[0].problem
    assert models[1].parameters == 130 * 527
    print_models(models, schema)
    printed = capsys.readouterr().out
    assert "NeXtVLADModel does not fit the data: nextvlad_groups" in printed


def test_no_small_network_dwarfs_some_hundred_small_clips():
    """The header of a run warns of 1,000 parameters a video."""
    schema = make_schema("audioset", num_classes=5)
    for size in list_models(schema, preset="small"):
        assert size.problem is None
        assert size.parameters < 400_000, size.name


@pytest.mark.parametrize("max_frames", [1, 2, 300])
def test_every_small_network_fits_videos_of_any_length(max_frames):
    schema = make_schema(
        "yt8m_2018", feature_sizes=(7, 3), num_classes=2, max_frames=max_frames
    )
    sizes = list_models(schema, preset="small")
    assert [size.name for size in sizes if size.problem] == []


def test_small_networks_are_smaller_than_the_papers(listed_models):
    for size in list_models(SCHEMA, preset="small"):
        paper = listed_models[0][size.name]
        arguments = paper.arguments | paper.classifier_arguments
        has_small_sizes = any(
            name in SMALL_SIZES and value != SMALL_SIZES[name]
            for name, value in arguments.items()
            if name != "input_batch_norm"
        )
        if has_small_sizes:
            assert size.parameters < paper.parameters
        else:
            assert size.parameters == paper.parameters


@pytest.mark.slow
def test_the_script_prints_the_models_asked_for_at_the_flags_sizes():
    flags = ["--models=MoeModel,LogisticModel", "--dataset=yt8m_2017"]
    done = subprocess.run(
        [sys.executable, "-m", "distill", "list_models", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line for line in done.stdout.splitlines() if "│" in line]
    assert [row.split()[1] for row in rows] == ["MoeModel", "LogisticModel"]
    assert f"{1153 * 4716:,}" in rows[1]
