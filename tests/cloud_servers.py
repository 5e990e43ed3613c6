"""Servers of this process that answer as S3 and Google Cloud Storage do."""

import contextlib
import logging
import unittest.mock
import urllib.request
from collections.abc import Iterator

import pytest

BUCKET = "bucket"


@contextlib.contextmanager
def s3_bucket() -> Iterator[str]:
    """Gives the URL of an empty bucket of a local S3 server (moto)."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    address = f"http://{host}:{port}"
    environment = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    # Servers of one process share their buckets.
    reset = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    try:
        with unittest.mock.patch.dict("os.environ", environment):
            s3fs.S3FileSystem.clear_instance_cache()
            s3fs.S3FileSystem().mkdir(BUCKET)
            yield f"s3://{BUCKET}"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        running.stop()


@contextlib.contextmanager
def gs_bucket() -> Iterator[str]:
    """Gives the URL of an empty bucket of a local server of Google's kind."""
    server = pytest.importorskip("gcp_storage_emulator.server")
    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    running = server.create_server(
        "127.0.0.1", 0, in_memory=True, default_bucket=BUCKET
    )
    running.start()
    http = running._api._httpd
    # It answers HEAD with a body, which the client does not wait for.
    http.handle_error = lambda *_: None
    host, port = http.server_address
    environment = {
        "STORAGE_EMULATOR_HOST": f"http://{host}:{port}",
        # It knows no storage layouts.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }
    try:
        with unittest.mock.patch.dict("os.environ", environment):
            gcsfs = pytest.importorskip("gcsfs")
            gcsfs.GCSFileSystem.clear_instance_cache()
            yield f"gs://{BUCKET}"
            gcsfs.GCSFileSystem.clear_instance_cache()
    finally:
        running.stop()
