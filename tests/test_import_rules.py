"""What may import what: `scripts -> distill -> models`, never upward."""

import ast
import sys
from pathlib import Path

import pytest

from distill.models import registry

ROOT = Path(__file__).parents[1]
STANDARD_LIBRARY = sorted(sys.stdlib_module_names)
SETTINGS_FILES = (
    "distill/settings/training.py",
    "distill/settings/run.py",
    "distill/settings/schema.py",
    "distill/datasets/synthetic_settings.py",
    "distill/system/small_files.py",
    "distill/system/typed_json.py",
)
SETTINGS_MODULES = (
    "distill.settings.training",
    "distill.models.frame_budget",
    "distill.settings.run",
    "distill.settings.schema",
    "distill.datasets.synthetic_settings",
    "distill.system.small_files",
    "distill.system.typed_json",
    "distill.models.argument_checks",
)
KERAS_FREE_MODELS = (
    "models/registry.py",
    "models/model_entries.py",
    "models/argument_checks.py",
    "models/frame_budget.py",
    "models/fixed_shapes.py",
)
MODELS_FOR_DISTILL = (
    "distill.models.argument_checks",
    "distill.models.ensemble_model",
    "distill.models.frame_budget",
    "distill.models.registry",
    "distill.models.preprocessing",
    "distill.models.raw_video_model",
    "distill.models.fixed_shapes",
    "distill.models.saved_classes",
    "distill.models.frame_selection",
    "distill.models.size_list",
)


def python_files(folder):
    """Returns a folder's files by their paths from the root."""
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"there is no Python file in {folder}/"
    return [str(file.relative_to(ROOT)) for file in files]


def parse(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported_modules(tree):
    """Returns the full names of all modules imported anywhere in a file.

    `from models import registry` counts as `distill.models.registry` where `models`
    has a module of that name.
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            names |= {
                _module_of(node.module, alias.name) for alias in node.names
            }
    return names


def _module_of(module, name):
    folder = ROOT.joinpath(*module.split("."))
    is_module = (folder / f"{name}.py").is_file()
    is_package = (folder / name / "__init__.py").is_file()
    return f"{module}.{name}" if is_module or is_package else module


def is_within(module, allowed):
    return any(
        module == name or module.startswith(f"{name}.") for name in allowed
    )


def assert_imports_only(path, allowed):
    imported = imported_modules(parse(path))
    others = {name for name in imported if not is_within(name, allowed)}
    assert not others, f"{path} must not import {sorted(others)}"


def assert_imports_none_of(path, forbidden):
    imported = imported_modules(parse(path))
    found = {name for name in imported if is_within(name, forbidden)}
    assert not found, f"{path} must not import {sorted(found)}"


def test_imports_are_found_wherever_they_stand():
    source = (
        "import a.b\nfrom models import registry, VERSION\n"
        "def f():\n    from distill.settings.schema import DataSchema\n"
    )
    assert imported_modules(ast.parse(source)) == {
        "a.b",
        "models",
        "distill.models.registry",
        "distill.settings.schema",
    }


@pytest.mark.parametrize("path", python_files("models"))
def test_models_import_keras_numpy_and_models_alone(path):
    allowed = ["keras", "numpy", "models", *STANDARD_LIBRARY]
    if path in KERAS_FREE_MODELS:
        allowed = ["models", *STANDARD_LIBRARY]
    assert_imports_only(path, allowed)


@pytest.mark.parametrize("path", python_files("distill/metrics"))
def test_metrics_import_numpy_alone(path):
    assert_imports_only(path, ["numpy", "distill.metrics", *STANDARD_LIBRARY])


@pytest.mark.parametrize("path", SETTINGS_FILES)
def test_settings_import_the_standard_library_and_each_other_alone(path):
    assert_imports_only(path, [*SETTINGS_MODULES, *STANDARD_LIBRARY])


@pytest.mark.parametrize("path", python_files("distill"))
def test_distill_imports_no_script_no_flags_and_few_of_models(path):
    assert_imports_none_of(path, ["scripts", "absl", "tests"])
    imported = imported_modules(parse(path))
    models = {name for name in imported if is_within(name, ["models"])}
    assert models <= set(MODELS_FOR_DISTILL), f"{path} imports {models}"


@pytest.mark.parametrize("path", python_files("distill/serving"))
def test_the_service_imports_no_tensorflow(path):
    allowed = [
        "numpy",
        "rich",
        "starlette",
        "uvicorn",
        "distill.metrics.ranking",
        "distill.predictor",
        "distill.serving",
        "distill.models.argument_checks",
        *STANDARD_LIBRARY,
    ]
    assert_imports_only(path, allowed)


def test_the_program_of_a_backend_runs_without_tensorflow():
    """PyTorch's and JAX's processes run it."""
    assert_imports_only(
        "tools/backends/program.py",
        ["keras", "numpy", *MODELS_FOR_DISTILL, *STANDARD_LIBRARY],
    )
    assert_imports_only("models/__init__.py", [])
    # The predictor is imported when it is asked for.
    assert_imports_only("distill/__init__.py", ["typing", "distill.predictor"])


@pytest.mark.parametrize("path", python_files("scripts"))
def test_scripts_import_absl_distill_and_the_registry_alone(path):
    assert_imports_only(
        path,
        [
            "absl",
            "distill",
            "distill.models.argument_checks",
            "distill.models.frame_budget",
            "distill.models.registry",
            "scripts",
            *STANDARD_LIBRARY,
        ],
    )


@pytest.mark.parametrize("path", python_files("models"))
def test_models_import_neither_distill_nor_scripts(path):
    assert_imports_none_of(path, ["scripts", "distill", "tests"])


def test_the_distiller_is_handed_its_networks_and_names_no_architecture():
    path = "distill/training/distiller.py"
    assert_imports_none_of(path, ["distill.models.registry"])
    text = (ROOT / path).read_text(encoding="utf-8").lower()
    names = {*registry.MODELS, *registry.CLASSIFIERS}
    factories = {
        word
        for entry in (*registry.MODELS.values(), *registry.CLASSIFIERS.values())
        for word in entry.factory.removeprefix("models.").split(":")
    }
    for name in (*names, *factories, "lstm", "vlad", "mixture"):
        assert name.lower() not in text, f"{path} names {name}"


@pytest.mark.parametrize(
    "name", ["aggregate", "html_report", "plots", "report"]
)
def test_the_report_of_a_study_needs_no_tensorflow(name):
    allowed = ["numpy", "distill.study", "distill.system.atomic_files"]
    if name == "plots":
        allowed.append("matplotlib")
    assert_imports_only(
        f"distill/study/{name}.py", [*allowed, *STANDARD_LIBRARY]
    )
