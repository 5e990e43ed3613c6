"""Every experiment's networks fit one another and their data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("common", "data", "stage", "loss_paper", "loss_released_code")
EXPERIMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "configs").rglob("*.cfg")
    if not path.stem.endswith(PARTS)
    and path.stem not in ("audioset", "yt8m_video")
    and not path.stem.startswith("study_")
    and path.parent.name != "references"
)
REFERENCES = {
    "starter_code": ("DbofModel", "LstmModel", "FrameLevelLogisticModel"),
    "willow": (
        "NetVLADModelLF",
        "NetFVModelLF",
        "DbofModelLF",
        "SoftDbofModelLF",
        "GatedDbofModelLF",
        "LstmModel",
        "GruModel",
    ),
    "size_constrained": ("NetVLADModelLF",),
    "fewer_frames": ("HierarchicalLstmModel", "DbofModel"),
}
STUDIES = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.glob("configs/study_*.cfg")
    if not path.stem.endswith(PARTS)
)
# Builds every network of a study's plan in the same way.
READ_STUDIES = """
import json, sys
from absl import flags
from absl.testing import flagsaver
from distill.cli import study
from distill.cli.flag_parsing import expand_flagfiles
from distill.cli.settings_flags import define
from distill.cli.study_settings import study_plan
define(study.FLAG_GROUPS)
import tensorflow as tf
from distill.networks.network import build_network
for config in sys.argv[1:]:
    with flagsaver.flagsaver(), tf.Graph().as_default():
        given = ["train", "eval", "calibration"]
        given = [f"--{name}_data_pattern=x" for name in given]
        words = ["study", *given, f"--flagfile={config}"]
        flags.FLAGS(expand_flagfiles(words))
        plan = study_plan("command")
        built = {}
        for unit in (*plan.teachers, *plan.units):
            for stage in unit.stages:
                network = build_network(stage.student, stage.data, "student")
                built[unit.row] = network.num_parameters
        found = {"rows": built, "trainings": len(plan.units)}
        print(json.dumps(found | {"preset": flags.FLAGS.preset}))
"""
# Builds the networks of every flagfile in a graph, which takes no memory.
READ_FLAGFILES = """
import dataclasses, json, sys
from absl import flags
from absl.testing import flagsaver
from distill.cli import train
from distill.cli.flag_parsing import expand_flagfiles
from distill.cli.experiment import run_settings
from distill.cli.settings_flags import define
define(train.FLAG_GROUPS)
import tensorflow as tf
from distill.networks.network import build_network
for config in sys.argv[1:]:
    with flagsaver.flagsaver(), tf.Graph().as_default():
        pattern = "--train_data_pattern=x"
        config, *more = config.split()
        words = ["train", pattern, f"--flagfile={config}", *more]
        flags.FLAGS(expand_flagfiles(words))
        alone = ("references/", "baselines/", "_labels.cfg")
        is_alone = any(part in config for part in alone)
        settings = run_settings("labels" if is_alone else "parallel")
        networks = {n: flags.FLAGS[n].value for n in ("train_dir", "preset")}
        networks["training"] = dataclasses.asdict(settings.training)
        for role in ("teacher", "student"):
            part = getattr(settings, role)
            if part is not None:
                network = build_network(part, settings.data, role)
                networks[role] = dataclasses.asdict(part) | {
                    "max_frames": network.max_frames,
                    "parameters": network.num_parameters,
                }
        print(json.dumps(networks))
"""


REFERENCE_RUNS = {
    (name, model): f"configs/references/{name}.cfg --model={model}"
    for name, models in REFERENCES.items()
    for model in models
}
# Commands of the systems themselves, in their flags.
COMMANDS = {
    "lstm": "configs/references/willow.cfg --model=LstmModel --batch_size=128 "
    "--base_learning_rate=0.0002 --iterations=150 --lstm_random_sequence=True "
    "--lstm_backward --frame_features True --max_step=400000 --num_readers 8",
    "netfv": "configs/references/willow.cfg --model=NetFVModelLF "
    "--fv_cluster_size=128 --fv_hidden_size=1024 --iterations=300 "
    "--fv_relu=False --gating=True --fv_couple_weights False "
    "--optimizer=GradientDescentOptimizer --alpha=0.7 --num_gpu 2",
}


@pytest.fixture(scope="module")
def runs():
    """Returns what each experiment's flagfile defines, by its path.

    And what each reference's defines, by its name and a model.
    """
    words = [*EXPERIMENTS, *REFERENCE_RUNS.values(), *COMMANDS.values()]
    done = subprocess.run(
        [sys.executable, "-c", READ_FLAGFILES, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line[0] == "{"]
    names = [*EXPERIMENTS, *REFERENCE_RUNS, *COMMANDS]
    return dict(zip(names, map(json.loads, lines), strict=True))


@pytest.fixture(scope="module")
def experiments(runs):
    return {path: runs[path] for path in EXPERIMENTS}


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "configs").rglob("*.cfg")),
    ids=lambda path: path.name,
)
def test_the_head_comment_begins_with_a_line_for_the_list_of_configs(path):
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith(".")


def test_every_experiment_has_a_directory_of_its_own(experiments):
    places = [experiment["train_dir"] for experiment in experiments.values()]
    assert len(set(places)) == len(places) >= 30


def test_every_experiment_has_the_defaults_it_was_measured_with(experiments):
    """That is, no config follows the defaults for small data."""
    assert {made["preset"] for made in experiments.values()} == {"paper"}


@pytest.mark.parametrize("size", ["distill", "quickstart"])
@pytest.mark.parametrize("model", ["netvlad", "nextvlad"])
@pytest.mark.parametrize("every_n", [10, 30])
def test_students_of_every_10th_and_30th_frame(
    experiments, size, model, every_n
):
    path = f"configs/{size}_{model}_every{every_n}.cfg"
    teacher, student = (experiments[path][w] for w in ("teacher", "student"))
    assert teacher["model"].lower().startswith(model)
    assert teacher["model"] == student["model"]
    assert teacher["arguments"] == student["arguments"]
    assert (teacher["max_frames"], student["max_frames"]) == (
        300,
        300 // every_n,
    )


def test_reference_sizes_have_the_hand_counted_parameters(experiments):
    """Both read 1024 + 128 values a frame and tell 3862 classes."""
    features, classes = (1024, 128), 3862
    netvlad = 4 * 1152  # batch norm of the frames
    for size, clusters in zip(features, (256, 128), strict=True):
        netvlad += 2 * size * clusters + 4 * clusters  # weights, centres, norm
    pooled = 1024 * 256 + 128 * 128
    netvlad += (pooled + 1) * 1024 + 1024 * 1024 + 4 * 1024  # hidden, gating
    netvlad += 1024 * 5 * classes + 2 * classes  # experts and gates
    netvlad += classes * classes + 4 * classes  # probability gating
    found = experiments["configs/distill_netvlad_every10.cfg"]
    assert found["student"]["parameters"] == netvlad

    nextvlad = 0
    for size, clusters, groups in ((1024, 128, 8), (128, 64, 4)):
        wide = 2 * size
        nextvlad += (size + 1) * wide  # expansion
        nextvlad += (wide + 1) * groups  # attention
        nextvlad += wide * groups * clusters + 4 * groups * clusters
        nextvlad += clusters * wide // groups  # centres
        nextvlad += 4 * clusters * wide // groups  # norm of the pooled
    pooled = 128 * 2048 // 8 + 64 * 256 // 4
    nextvlad += pooled * 2048 + 4 * 2048
    nextvlad += 2 * 2048 * 256 + 4 * 256  # squeeze and excitation
    nextvlad += (2048 + 1) * classes
    found = experiments["configs/distill_nextvlad_every10.cfg"]
    assert found["student"]["parameters"] == nextvlad


# Batch size, epochs, learning rate, decay, penalty: as the code of each system
# defines them.
REFERENCE_TRAINING = {
    "starter_code": (1024, 5, 0.01, 0.95, 1.0),
    "willow": (1024, 15, 0.001, 0.9, 1.0),
    "size_constrained": (1024, 15, 0.001, 0.9, 1.0),
    "fewer_frames": (1024, 10, 0.001, 1.0, 2.0),
}


@pytest.mark.parametrize(("name", "model"), REFERENCE_RUNS)
def test_a_reference_s_config_trains_its_models_by_its_defaults(
    runs, name, model
):
    found = runs[name, model]
    fields = (
        "batch_size",
        "num_epochs",
        "base_learning_rate",
        "learning_rate_decay",
        "regularization_penalty",
    )
    training = tuple(found["training"][field] for field in fields)
    assert training == REFERENCE_TRAINING[name]
    assert found["training"]["adam_epsilon"] == 1e-8
    assert found["student"]["model"] == model
    assert found["student"]["arguments"]["batch_norm_momentum"] == 0.999


def test_flags_of_the_references_have_counterparts(runs):
    lstm, netfv = runs["lstm"], runs["netfv"]
    sizes = lstm["student"]["arguments"]
    assert (sizes["sample_frames"], sizes["reversed_time"]) == (150, True)
    assert lstm["training"]["max_steps"] == 400_000
    assert lstm["training"]["batch_size"] == 128
    sizes = netfv["student"]["arguments"]
    assert (sizes["sample_frames"], sizes["fv_cluster_size"]) == (300, 128)
    assert (sizes["fv_relu"], sizes["fv_couple_weights"]) == (False, False)
    assert sizes["gating"] is True
    assert netfv["training"]["optimizer"] == "SGD"
    assert netfv["training"]["label_loss_alpha"] == 0.7


def test_the_size_constrained_netvlad_has_the_counted_parameters(runs):
    """64 clusters, hidden layers of 1024 and 2048, 5 mixtures."""
    classes, count = 3862, 0
    for size, clusters in ((1024, 64), (128, 32)):
        count += 2 * size * clusters + 4 * clusters  # weights, centres, norm
    pooled = 1024 * 64 + 128 * 32
    count += pooled * 1024 + 4 * 1024 + 1025 * 2048
    count += 2048 * 2048 + 4 * 2048  # context gating
    count += 2048 * 11 * classes + 5 * classes  # experts and gates
    count += classes * classes + 4 * classes  # probability gating
    found = runs["size_constrained", "NetVLADModelLF"]
    assert found["student"]["parameters"] == count


@pytest.mark.slow
def test_every_study_s_grid_is_planned_and_its_networks_fit():
    assert STUDIES
    done = subprocess.run(
        [sys.executable, "-c", READ_STUDIES, *STUDIES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines():
        plan = json.loads(line)
        assert plan["trainings"] >= len(plan["rows"]) - 1 > 2
        assert plan["preset"] == "paper"
