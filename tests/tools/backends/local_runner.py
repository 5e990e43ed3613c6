"""The model of a backend's process, run by the process of the tests."""

from tools.backends.program import ModelRunner


class LocalRunner:
    """Answers the calls of a `BackendProcess` without a process."""

    backend = "tensorflow"

    def __init__(self):
        self._runner = ModelRunner()

    def call(self, method, *arguments):
        """Returns the result of a method of `ModelRunner`."""
        return getattr(self._runner, method)(*arguments)
