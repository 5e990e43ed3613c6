"""Who may import whom: every import leads to a room on a lower floor."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Rooms from the ground up: a room imports rooms of the floors below it alone.
FLOORS = (
    {"models", "system", "metrics"},
    {"settings", "losses", "reporting"},
    {"data", "checkpoints", "distributed", "video"},
    {"networks", "extraction"},
    {"evaluation"},
    {"training", "deployment", "datasets"},
    {"study", "predictor"},
    {"serving", "distill"},
    {"cli"},
    {"tools", "__main__"},
)
FLOOR_OF = {room: n for n, floor in enumerate(FLOORS) for room in floor}
MOST_IMPORTS_BETWEEN_ROOMS = 122
LOOSE_MODULES = {"__main__", "losses", "predictor"}
STANDARD_LIBRARY = sys.stdlib_module_names
FILES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for folder in ("models", "distill", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "distill/models" not in str(path)
}


def room_of(module):
    """Returns the room of `distill.data.records`: `data`."""
    parts = module.split(".")
    if parts[0] != "distill":
        return parts[0]
    return parts[1] if len(parts) > 1 else "distill"


def room_of_file(path):
    if path.parts[0] in ("models", "tools"):
        return path.parts[0]
    name = path.parts[1].removesuffix(".py")
    return "distill" if name == "__init__" else name


def imported_modules(tree):
    """Returns the full names of all that is imported anywhere in a file."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_rooms(path):
    modules = imported_modules(FILES[path])
    own = [m for m in modules if m.split(".")[0] in ("distill", "tools")]
    return {room_of(module) for module in own} - {room_of_file(path)}


def third_party(path):
    """Returns the packages beside the standard library that a file imports."""
    packages = {m.split(".")[0] for m in imported_modules(FILES[path])}
    return packages - STANDARD_LIBRARY - {"distill", "tools"}


def files_of(*rooms):
    found = [path for path in FILES if room_of_file(path) in rooms]
    assert found, f"there is no file in {rooms}"
    return found


def test_imports_are_found_wherever_they_stand():
    source = "import a.b\ndef f():\n    from distill.data import records\n"
    found = imported_modules(ast.parse(source))
    assert found == {"a.b", "distill.data.records"}
    assert {room_of(name) for name in found} == {"a", "data"}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_rooms_of_lower_floors_alone(path):
    own = FLOOR_OF[room_of_file(path)]
    upward = {r for r in imported_rooms(path) if FLOOR_OF[r] >= own}
    assert not upward, f"{path} imports {sorted(upward)}"


def test_rooms_are_tied_by_few_imports():
    ties = {
        (room_of_file(path), room)
        for path in FILES
        for room in imported_rooms(path)
    }
    assert len(ties) <= MOST_IMPORTS_BETWEEN_ROOMS
    assert len(FLOORS) <= 10


def test_distill_has_few_loose_modules():
    loose = {path.stem for path in (ROOT / "distill").glob("*.py")}
    assert loose - {"__init__"} == LOOSE_MODULES


@pytest.mark.parametrize("path", files_of("models"), ids=str)
def test_models_import_keras_and_numpy_alone(path):
    assert third_party(path) <= {"keras", "numpy"}


@pytest.mark.parametrize("path", files_of("metrics"), ids=str)
def test_metrics_import_numpy_alone(path):
    assert third_party(path) <= {"numpy"}


@pytest.mark.parametrize("path", files_of("system", "settings"), ids=str)
def test_settings_and_system_import_no_framework(path):
    assert third_party(path) <= {"h5py", "numpy"}


# Calls that take a local name alone; a URL would become a folder `gs:`.
LOCAL_CALLS = {
    *("open", "Path", "pathlib.Path", "h5py.File", "glob.glob", "np.load"),
    *("np.save", "np.savez", "runpy.run_path", "tarfile.open"),
    *("zipfile.ZipFile", "shutil.rmtree", "shutil.copy", "shutil.copytree"),
    *("shutil.move", "os.listdir", "os.scandir", "os.stat", "os.makedirs"),
    *("os.mkdir", "os.remove", "os.unlink", "os.replace", "os.rename"),
    *("os.path.exists", "os.path.isfile", "os.path.isdir", "os.path.getsize"),
}
# Those of names that no user gave, or that are known to be local.
LOCAL_NAMES = {
    "distill/__init__.py": {"Path(__file__)"},
    "distill/cli/config_files.py": {"Path(__file__)"},
    "distill/cli/next_command.py": {"Path(sys.executable)"},
    "distill/data/tensorflow_files.py": {"open(lpath, 'rb')"},
    "distill/data/tfrecords.py": {
        *("os.stat(path)", "open(path, 'rb', buffering=0)"),
    },
    "distill/datasets/array_sources.py": {
        *("np.load(opened, allow_pickle=False)", "Path(row[_PATH])"),
    },
    "distill/datasets/download.py": None,
    "distill/deployment/archive.py": {"tarfile.open(temporary, 'w:gz')"},
    "distill/deployment/comparison.py": {
        *("np.save(self._file, found)", "np.load(self._file)"),
    },
    "distill/deployment/unpacking.py": {
        *("Path(name)", "os.listdir(folder)"),
        "tarfile.open(fileobj=_bound(contents), mode='r:')",
    },
    "distill/deployment/artifact_checks/keras_file.py": {
        *("zipfile.ZipFile(path)", "h5py.File(weights, 'r')"),
    },
    "distill/deployment/export.py": {"np.savez(folder / EXAMPLE, **arrays)"},
    "distill/deployment/interface.py": {"Path(name)"},
    "distill/deployment/package.py": {"Path(card['data']['pattern'])"},
    "distill/extraction/pca.py": {
        "np.load(io.BytesIO(_read_bytes(path)), allow_pickle=False)",
    },
    "distill/evaluation/prediction_files/files.py": {
        "open(temporary, 'w', encoding='utf-8', newline='')"
    },
    "distill/reporting/machine.py": {"pathlib.Path('/proc/cpuinfo')"},
    "distill/settings/class_names.py": {
        "open(path, 'w', newline='', encoding='utf-8')"
    },
    "distill/study/rows.py": {"runpy.run_path(program)"},
    "distill/study/stage_timer.py": {"Path(self._temporary.name)"},
    "distill/reporting/event_files.py": {"Path(os.devnull)"},
    "distill/training/run_log.py": {"Path(os.devnull)"},
    # Tools work in temporary folders; the drills' own must be local.
    "tools/attacks/__main__.py": {"Path(directory)"},
    "tools/attacks/artifact_damage.py": None,
    "tools/attacks/artifact_trial.py": None,
    "tools/attacks/artifacts.py": None,
    "tools/attacks/calls.py": None,
    "tools/attacks/files.py": None,
    "tools/attacks/legal_files.py": {"zipfile.ZipFile(io.BytesIO(contents))"},
    "tools/attacks/preload.py": None,
    "tools/attacks/workers.py": None,
    "tools/backends/comparison.py": {"Path(folder)"},
    "tools/backends/evaluation.py": {
        *("Path(folder)", "np.savez(file, labels=labels, **arrays)"),
    },
    "tools/backends/process.py": {"Path(__file__)"},
    "tools/backends/scoring.py": {"np.load(file)"},
    "tools/benchmark/end_to_end.py": {"Path(folder)"},
    "tools/benchmark/start.py": {"Path(__file__)"},
    "tools/drills/__main__.py": {"Path(directory)"},
    "tools/drills/comparison.py": None,
    "tools/drills/drill.py": None,
    "tools/drills/folder.py": None,
    "tools/drills/inputs.py": None,
    "tools/drills/running.py": None,
    "tools/predictions/measurement.py": None,
    "tools/process_memory.py": {"Path(f'/proc/{pid}/status')"},
    "tools/service_load/student.py": None,
    "tools/soak/killed_run.py": {"shutil.rmtree(folder, ignore_errors=True)"},
    "tools/soak/serve.py": {
        *("Path(directory)", "Path(f'/proc/{pid}/task/{pid}/children')"),
    },
    "tools/soak/train.py": {"Path(directory)"},
}


@pytest.mark.parametrize(
    "path",
    [p for p in FILES if p.parts[0] in ("distill", "tools")],
    ids=str,
)
def test_names_of_users_become_paths_in_the_storage_module_alone(path):
    if room_of_file(path) == "system":
        return
    calls = {
        ast.unparse(node)
        for node in ast.walk(FILES[path])
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOCAL_CALLS
    }
    known = LOCAL_NAMES.get(path.as_posix(), set())
    assert known is None or calls <= known, (
        "use to_path, local_copy and others of distill/system/storage.py"
    )


@pytest.mark.parametrize("path", FILES, ids=str)
def test_the_command_line_and_the_tools_alone_import_absl(path):
    if room_of_file(path) not in ("cli", "tools"):
        assert "absl" not in third_party(path)


@pytest.mark.parametrize("path", files_of("serving"), ids=str)
def test_the_service_imports_no_tensorflow(path):
    assert not third_party(path) & {"tensorflow", "keras"}


def modules_after(statement):
    """Returns the names of all modules loaded once a statement has run."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{statement}\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_training_loop_loads_no_converter_benchmark_or_service():
    loaded = modules_after("import distill.training.loop")
    rooms = {room_of(m) for m in loaded if m.startswith(("distill.", "tools"))}
    others = {"deployment", "serving", "study", "datasets", "cli", "tools"}
    assert not rooms & others
    assert not {"onnx", "tf2onnx", "ai_edge_litert"} & loaded


@pytest.mark.parametrize(
    "statement",
    [
        "from distill.models import registry",
        "import distill.settings.run",
        "import distill.predictor",
        "import distill\nprint(dir(distill), distill.RunSettings)",
        "import distill\ndistill.network('GruModel', every_n=2)",
        "import distill.study.report",
    ],
)
def test_names_settings_and_reports_load_no_framework(statement):
    assert not {"tensorflow", "keras"} & modules_after(statement)


def test_the_user_s_own_packages_are_not_shadowed():
    """The wheel holds `distill` alone at the top of site-packages."""
    from importlib.metadata import distribution

    text = distribution("distill").read_text("top_level.txt") or "distill"
    assert text.split() == ["distill"]
