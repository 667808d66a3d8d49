"""The object store that the tests here share."""

import pytest

from tests.storage.s3 import ObjectStore


@pytest.fixture(scope="session")
def store():
    made = ObjectStore()
    yield made
    made.stop()
