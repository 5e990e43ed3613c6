"""A server of a partition's plan and files, with faults on demand."""

import contextlib
import hashlib
import http.server
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from tests.hang_guard import HANG_SECONDS

PARTITION = "2/frame/train"
PLAN_PATH = "/2/download_plans/frame_train.json"


class PlanServer(http.server.ThreadingHTTPServer):
    """Serves files as the data set's servers do.

    Attributes:
      files: Contents by the name in the plan.
      faults: Of a file what its next requests meet, first come first; the
        last for ever if it begins with `always `.
      served: Bytes of the contents sent, by file.
      requests: Of each file the `Range` headers that came, None for none.
      resumed: Ends all silence.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.faults: dict[str, list[str]] = {}
        self.served: Counter[str] = Counter()
        self.requests: dict[str, list[str | None]] = defaultdict(list)
        self.resumed = threading.Event()
        hashes = {n: hashlib.md5(c).hexdigest() for n, c in files.items()}
        self.plan = json.dumps({"files": hashes}).encode()

    @property
    def address(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, name: str) -> str:
        """Returns what a request meets."""
        faults = self.faults.get(name, [])
        if not faults:
            return ""
        if faults[0].startswith("always "):
            return faults[0].removeprefix("always ")
        return faults.pop(0)

    def handle_error(self, request, client_address):
        """Says nothing of clients that went away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        """Says nothing."""

    def do_GET(self):
        """Answers as a server of files does."""
        if self.path == PLAN_PATH:
            self.server.requests["plan"].append(None)
            self._send(200, self.server.plan, "plan", {})
            return
        name = self.path.removeprefix(f"/{PARTITION}/")
        if name not in self.server.files:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.requests[name].append(asked)
        self._answer(name, asked, self.server.next_fault(name))

    def _answer(self, name, asked, fault):
        if fault.isdecimal():
            self.send_error(int(fault))
            return
        contents = self.server.files[name]
        if fault == "corrupt":
            contents = bytes(len(contents))
        start = 0
        if asked and fault not in ("ignore range", "cut anew"):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(contents) > 0:
            self.send_error(416)
            return
        total, part, headers = len(contents), contents[start:], {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        self._send(206 if start else 200, part, name, headers, fault)

    def _send(self, status, part, name, headers, fault=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(part)))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if fault.startswith("cut"):
            part = part[: len(part) // 2]
        for offset in range(0, len(part), 1024):
            piece = part[offset : offset + 1024]
            self.wfile.write(piece)
            self.server.served[name] += len(piece)
            if fault == f"silent after {offset + len(piece)}":
                self.server.resumed.wait(HANG_SECONDS)


@contextlib.contextmanager
def serve_files(count: int, size: int = 5000) -> Iterator[PlanServer]:
    """Runs a server of `trainaa.tfrecord`, `trainab.tfrecord` ..."""
    random = np.random.default_rng(count)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    names = [
        f"train{letters[index // 62]}{letters[index % 62]}.tfrecord"
        for index in range(count)
    ]
    server = PlanServer({n: random.bytes(size) for n in names})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.resumed.set()
        server.shutdown()
        thread.join()
        server.server_close()
