"""The object stores that the tests here share."""

import pytest
from gcp_storage_emulator.server import create_server

from tests.storage.s3 import BUCKET, ObjectStore, free_port


@pytest.fixture(scope="session")
def store():
    made = ObjectStore()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def gcs():
    """Says by which URL a folder of a store of `gs://` goes, whose objects are in this process."""
    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    yield lambda name: f"gs://anonymous@{BUCKET}/{name}?scheme=http&endpoint_override=127.0.0.1:{port}"
    server.stop()
