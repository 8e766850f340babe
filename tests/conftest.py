"""Object stores on this machine: real servers, each a process of its own."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

import pytest

with contextlib.suppress(ImportError):
    # PyTorch's compiler and TensorFlow each bring LLVM, and in one process, which only
    # tests have, the compiler's has to come first.
    import triton  # noqa: F401

# TensorFlow takes a number of threads once a process; smoke recipes ask for one.
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user(tmp_path_factory):
    """Let no tenfold.yaml of whoever runs the tests decide on them."""
    empty = tmp_path_factory.mktemp("settings") / "tenfold.yaml"
    empty.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENFOLD_SETTINGS", str(empty))
        yield


@contextlib.contextmanager
def serving(*arguments):
    """Run a Python module that serves on a free port; give its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", *(port if a == "PORT" else a for a in arguments)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(port))).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command} does not serve") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def request(method, url, body=b""):
    kind = {"Content-Type": "application/json"}
    asked = urllib.request.Request(url, body or None, kind, method=method)  # noqa: S310
    return urllib.request.urlopen(asked, timeout=30).read()  # noqa: S310


@pytest.fixture(scope="session")
def gcs_server():
    """The Cloud Storage API, in memory."""
    where = ("--host", "127.0.0.1", "--port", "PORT", "--in-memory", "--quiet")
    with serving("gcp_storage_emulator", "start", *where) as address:
        yield address


@pytest.fixture(scope="session")
def s3_server():
    """The S3 API, in memory."""
    with serving("moto.server", "-H", "127.0.0.1", "-p", "PORT") as address:
        yield address


@pytest.fixture
def bucket(gcs_server, monkeypatch):
    """Give the gs:// address of a new, empty bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_server)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    body = json.dumps({"name": name}).encode()
    request("POST", f"{gcs_server}/storage/v1/b", body)
    return f"gs://{name}"


@pytest.fixture
def s3_bucket(s3_server, monkeypatch):
    """Give the s3:// address of a new, empty bucket."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-key")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    request("PUT", f"{s3_server}/{name}")
    return f"s3://{name}"
