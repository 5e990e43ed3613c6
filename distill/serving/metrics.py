"""Counts, times and sizes of the service, in Prometheus's text form."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

# Where it is set before prometheus_client is imported, processes count in
# files of this directory.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, *Histogram.DEFAULT_BUCKETS)
_LONG_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class ServiceMetrics:
    """The metrics of a service.

    Attributes:
      video_files: Gauge of the video files that are decoded or wait for it.
      video_file_seconds: Histogram of the time of decoding and extraction.
      decoded_frames: Counter of the frames that were decoded and extracted.
      batch_videos: Histogram of the videos of a call of the model.
      queue_videos: Gauge of the videos that wait for the model.
      connections: Gauge of the open connections.
    """

    def __init__(self, max_batch_size: int):
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "distill_requests",
            "Requests by path and status; an unknown path is 'other'.",
            ["path", "status"],
            registry=registry,
        )
        self._videos = Counter(
            "distill_videos",
            "Videos of requests that were answered with 200.",
            registry=registry,
        )
        self._seconds = Histogram(
            "distill_request_seconds",
            "Seconds from a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._add_batches(max_batch_size)
        self._add_video_files()
        self.connections = Gauge(
            "distill_connections",
            "Open connections.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._closed = Counter(
            "distill_connections_closed",
            "Connections that were closed for their clients' slowness: after "
            "a time-out, at the limit of connections, or of memory.",
            ["reason"],
            registry=registry,
        )
        self._reloads = Counter(
            "distill_reloads",
            "Reloads of the artifact by result, ok or failed.",
            ["result"],
            registry=registry,
        )
        self._loaded = Gauge(
            "distill_model_loaded_timestamp_seconds",
            "When the model was loaded; of several processes the first time.",
            multiprocess_mode="livemin",
            registry=registry,
        )
        self._loaded.set_to_current_time()

    def _add_batches(self, max_batch_size: int) -> None:
        registry = self._registry
        self.batch_videos = Histogram(
            "distill_batch_videos",
            "Videos of a call of the model.",
            buckets=[
                2**n for n in range((max_batch_size - 1).bit_length() + 1)
            ],
            registry=registry,
        )
        self.queue_videos = Gauge(
            "distill_queue_videos",
            "Videos that wait for the model.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def _add_video_files(self) -> None:
        registry = self._registry
        self.video_files = Gauge(
            "distill_video_files",
            "Video files that are being decoded or wait for it.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.video_file_seconds = Histogram(
            "distill_video_file_seconds",
            "Seconds of decoding and extraction of a video file.",
            buckets=_LONG_SECONDS,
            registry=registry,
        )
        self.decoded_frames = Counter(
            "distill_decoded_frames",
            "Frames of video files that were decoded and extracted.",
            registry=registry,
        )

    def count_closed(self, reason: str) -> None:
        """Counts a connection that was closed for its client's slowness."""
        self._closed.labels(reason).inc()

    def count_reload(self, has_worked: bool) -> None:
        """Counts a reload of the artifact."""
        self._reloads.labels("ok" if has_worked else "failed").inc()
        if has_worked:
            self._loaded.set_to_current_time()

    def count_request(
        self, path: str, status: int, num_videos: int, seconds: float
    ) -> None:
        """Counts an answered request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)
        if status == 200:
            self._videos.inc(num_videos)

    def render(self) -> bytes:
        """Returns the metrics, of all processes where there are several."""
        registry = self._registry
        if DIRECTORY_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
