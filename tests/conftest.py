"""A Cloud Storage server on this machine, for the tests of gs:// addresses."""

import socket
import uuid

import pytest


@pytest.fixture(scope="session")
def gcs_server():
    """Start the emulator, in memory, on a free port; give its address."""
    server_module = pytest.importorskip("gcp_storage_emulator.server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = server_module.create_server("127.0.0.1", port, in_memory=True)
    server.start()
    # A client that hangs up early is no news worth a traceback in the test's output.
    server._api._httpd.handle_error = lambda *_: None
    yield f"http://127.0.0.1:{port}", server
    server.stop()


@pytest.fixture
def bucket(gcs_server, monkeypatch):
    """Give the gs:// address of a new, empty bucket."""
    address, server = gcs_server
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    server._storage.create_bucket(name, {"name": name})
    return f"gs://{name}"
