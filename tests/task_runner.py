"""A runner of tasks as Beam's are, in this process and without Beam."""

import pickle


def run_backwards(make_work, tasks):
    """Does every task twice, the last first, from pickled copies."""
    make_work, tasks = pickle.loads(pickle.dumps((make_work, list(tasks))))
    work = make_work()
    try:
        for task in [*reversed(tasks), *tasks]:
            work(task)
    finally:
        getattr(work, "close", lambda: None)()


def files_of(folder, ending=""):
    """Returns the files of a folder that are not hidden, by name."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name.endswith(ending) and not path.name.startswith(".")
    }
